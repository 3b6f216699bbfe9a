#include "worker/train/comm/shm_sum.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace mead::train {
namespace {

// How an element is stored, and in what it is summed.
struct Float32 {
  using Stored = float;
  using Sum = float;
  static Sum Load(Stored value) { return value; }
  static Stored Store(Sum value) { return value; }
};

struct Float64 {
  using Stored = double;
  using Sum = double;
  static Sum Load(Stored value) { return value; }
  static Stored Store(Sum value) { return value; }
};

struct Int64 {
  using Stored = uint64_t;  // unsigned, because it may wrap
  using Sum = uint64_t;
  static Sum Load(Stored value) { return value; }
  static Stored Store(Sum value) { return value; }
};

// The upper half of a float32.
struct Bfloat16 {
  using Stored = uint16_t;
  using Sum = float;
  static Sum Load(Stored value) { return std::bit_cast<float>(uint32_t{value} << 16); }
  static Stored Store(Sum value) {
    constexpr uint32_t kNan = 0x7fc0;
    const uint32_t bits = std::bit_cast<uint32_t>(value);
    const uint32_t to_nearest_even = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    return static_cast<Stored>(std::isnan(value) ? kNan : to_nearest_even);
  }
};

// Blocks that stay in the first-level cache with their sums, so that each element
// is read from memory once and written once, however many ranks there are.
template <typename Type>
void SumBlocks(std::span<std::byte* const> parts, ShmShare share) {
  using Stored = typename Type::Stored;
  constexpr int64_t kBlock = 1024;
  std::array<typename Type::Sum, kBlock> sums;
  for (int64_t begin = share.begin; begin < share.end; begin += kBlock) {
    const size_t count = static_cast<size_t>(std::min(kBlock, share.end - begin));
    const Stored* first = reinterpret_cast<const Stored*>(parts[0]) + begin;
    for (size_t i = 0; i < count; ++i) sums[i] = Type::Load(first[i]);
    for (std::byte* const part : parts.subspan(1)) {
      const Stored* values = reinterpret_cast<const Stored*>(part) + begin;
      for (size_t i = 0; i < count; ++i) sums[i] += Type::Load(values[i]);
    }
    for (std::byte* const part : parts) {
      Stored* values = reinterpret_cast<Stored*>(part) + begin;
      for (size_t i = 0; i < count; ++i) values[i] = Type::Store(sums[i]);
    }
  }
}

}  // namespace

int64_t ElementBytes(ShmType type) {
  switch (type) {
    case ShmType::kFloat32:
      return sizeof(Float32::Stored);
    case ShmType::kFloat64:
      return sizeof(Float64::Stored);
    case ShmType::kBfloat16:
      return sizeof(Bfloat16::Stored);
    case ShmType::kInt64:
      return sizeof(Int64::Stored);
  }
  return 0;
}

ShmShare ShareOf(int64_t elements, int rank, int world_size) {
  constexpr int64_t kCacheLineElements = 32;  // of bfloat16, the smallest type
  const int64_t lines = (elements + kCacheLineElements - 1) / kCacheLineElements;
  return {.begin = std::min(lines * rank / world_size * kCacheLineElements, elements),
          .end = std::min(lines * (rank + 1) / world_size * kCacheLineElements, elements)};
}

void SumIntoAll(std::span<std::byte* const> parts, ShmType type, ShmShare share) {
  switch (type) {
    case ShmType::kFloat32:
      return SumBlocks<Float32>(parts, share);
    case ShmType::kFloat64:
      return SumBlocks<Float64>(parts, share);
    case ShmType::kBfloat16:
      return SumBlocks<Bfloat16>(parts, share);
    case ShmType::kInt64:
      return SumBlocks<Int64>(parts, share);
  }
}

}  // namespace mead::train
