#include "worker/train/state/crc32c.h"

#include <gtest/gtest.h>

#include <numeric>
#include <string>
#include <vector>

namespace mead::train {
namespace {

// RFC 3720, B.4, and the check value of Williams' catalogue.
TEST(Crc32c, HasTheStandardsValues) {
  std::vector<uint8_t> bytes(32, 0);
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x8a9136aau);
  bytes.assign(32, 0xff);
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x62a8ab43u);
  std::iota(bytes.begin(), bytes.end(), uint8_t{0});
  EXPECT_EQ(Crc32c(bytes.data(), 32), 0x46dd794eu);
  EXPECT_EQ(Crc32c("123456789", 9), 0xe3069283u);
  EXPECT_EQ(Crc32c("", 0), 0u);
}

TEST(Crc32c, IsTheSameByTableAndInParts) {
  std::vector<uint8_t> bytes(257);
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i * i + 3);
  for (const size_t begin : {0, 1, 7}) {
    for (size_t size = 0; begin + size <= bytes.size(); size += 5) {
      const uint8_t* data = bytes.data() + begin;
      const uint32_t whole = Crc32c(data, size);
      EXPECT_EQ(Crc32cByTable(data, size), whole) << size;
      const size_t half = size / 3;
      EXPECT_EQ(Crc32c(data + half, size - half, Crc32c(data, half)), whole) << size;
    }
  }
}

}  // namespace
}  // namespace mead::train
