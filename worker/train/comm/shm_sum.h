// Sums the same elements of several buffers into all of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace mead::train {

enum class ShmType : uint8_t { kFloat32, kFloat64, kBfloat16, kInt64 };

int64_t ElementBytes(ShmType type);

// The elements [begin, end) of `elements` that rank `rank` sums: whole cache lines
// of any type, so that no two ranks write to one line. All ranks' shares are
// disjoint and cover everything.
struct ShmShare {
  int64_t begin = 0;
  int64_t end = 0;
};
ShmShare ShareOf(int64_t elements, int rank, int world_size);

// parts: by rank, the same number of elements each. Element i of every part in
// [begin, end) becomes their sum, added in the order of ranks, so that the result
// depends on nothing else; bfloat16 is summed in float32 and rounded once, to
// nearest even. int64 wraps.
void SumIntoAll(std::span<std::byte* const> parts, ShmType type, ShmShare share);

}  // namespace mead::train
