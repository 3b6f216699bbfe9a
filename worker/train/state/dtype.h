// The types of numbers that weights files hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mead::train {

enum class DType { kBool, kU8, kI8, kI16, kU16, kF16, kBF16, kI32, kU32, kF32, kF64, kI64, kU64 };

int64_t DTypeBytes(DType dtype);
const char* DTypeName(DType dtype);  // "F32", as in a safetensors header
std::optional<DType> DTypeFromName(std::string_view name);

// "[64, 3, 7, 7]"
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace mead::train
