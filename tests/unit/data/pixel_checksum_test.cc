#include "worker/data/pixel_checksum.h"

#include <gtest/gtest.h>

#include <set>
#include <vector>

namespace mead::data {
namespace {

TEST(PixelChecksumTest, EveryChangedBitEveryLengthAndSeedIsSeen) {
  for (const size_t size : {size_t{1}, size_t{31}, size_t{32}, size_t{100}}) {
    std::vector<uint8_t> bytes(size, 0);
    std::set<uint64_t> sums = {PixelChecksum(bytes.data(), size, 1),
                               PixelChecksum(bytes.data(), size, 2),
                               PixelChecksum(bytes.data(), size - 1, 1)};
    for (size_t bit = 0; bit < 8 * size; ++bit) {
      bytes[bit / 8] = static_cast<uint8_t>(1u << (bit % 8));
      sums.insert(PixelChecksum(bytes.data(), size, 1));
      bytes[bit / 8] = 0;
    }
    EXPECT_EQ(sums.size(), 3 + 8 * size) << size;
  }
}

}  // namespace
}  // namespace mead::data
