#include "worker/data/pixel_checksum.h"

#include <bit>
#include <cstring>

namespace mead::data {
namespace {

constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87;
constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4F;
constexpr uint64_t kPrime5 = 0x27D4EB2F165667C5;

uint64_t Round(uint64_t lane, uint64_t word) {
  return std::rotl(lane + word * kPrime2, 31) * kPrime1;
}

}  // namespace

uint64_t PixelChecksum(const uint8_t* bytes, size_t size, uint64_t seed) {
  uint64_t lanes[4] = {seed + kPrime1 + kPrime2, seed + kPrime2, seed, seed - kPrime1};
  const uint8_t* const end = bytes + size;
  for (; end - bytes >= 32; bytes += 32) {
    uint64_t words[4];
    std::memcpy(words, bytes, sizeof(words));
    for (int i = 0; i < 4; ++i) lanes[i] = Round(lanes[i], words[i]);
  }
  uint64_t sum = seed + size + kPrime5;
  for (const uint64_t lane : lanes) sum = Round(sum ^ lane, lane);
  for (; bytes != end; ++bytes) sum = std::rotl(sum ^ (*bytes * kPrime5), 11) * kPrime1;
  return sum ^ (sum >> 29);
}

}  // namespace mead::data
