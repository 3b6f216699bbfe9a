#include "worker/train/state/dtype.h"

#include <algorithm>
#include <array>

namespace mead::train {
namespace {

struct DTypeEntry {
  const char* name;
  DType dtype;
  int64_t bytes;
};

constexpr std::array<DTypeEntry, 13> kDTypes = {{{"BOOL", DType::kBool, 1},
                                                 {"U8", DType::kU8, 1},
                                                 {"I8", DType::kI8, 1},
                                                 {"I16", DType::kI16, 2},
                                                 {"U16", DType::kU16, 2},
                                                 {"F16", DType::kF16, 2},
                                                 {"BF16", DType::kBF16, 2},
                                                 {"I32", DType::kI32, 4},
                                                 {"U32", DType::kU32, 4},
                                                 {"F32", DType::kF32, 4},
                                                 {"F64", DType::kF64, 8},
                                                 {"I64", DType::kI64, 8},
                                                 {"U64", DType::kU64, 8}}};

const DTypeEntry& Entry(DType dtype) {
  return *std::find_if(kDTypes.begin(), kDTypes.end(),
                       [&](const DTypeEntry& entry) { return entry.dtype == dtype; });
}

}  // namespace

int64_t DTypeBytes(DType dtype) { return Entry(dtype).bytes; }
const char* DTypeName(DType dtype) { return Entry(dtype).name; }

std::optional<DType> DTypeFromName(std::string_view name) {
  const auto entry = std::find_if(kDTypes.begin(), kDTypes.end(),
                                  [&](const DTypeEntry& e) { return name == e.name; });
  if (entry == kDTypes.end()) return std::nullopt;
  return entry->dtype;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace mead::train
