// The checksums in a safetensors header (kChecksumsKey of safetensors.h says what they are).
// Thread: pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace mead::train {

// The metadata's value before the checksums are known, for so many tensors.
std::string ChecksumPlaces(size_t tensors);

// Puts them in their places in the header's JSON, which was made with ChecksumPlaces.
// tensors: of the data, in its order.
void FillChecksums(const std::vector<uint32_t>& tensors, std::string& json);

// The tensors' checksums; nullopt where the header's own is another, or where there are not
// as many as tensors. metadata: the value.
std::optional<std::vector<uint32_t>> CheckedChecksums(std::string_view json,
                                                      std::string_view metadata, size_t tensors);

}  // namespace mead::train
