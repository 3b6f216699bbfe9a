#include "common/base/rng.h"

#include <bit>
#include <cmath>

#include "common/base/check.h"

namespace mead {
namespace {

constexpr uint64_t kGoldenGamma = 0x9e3779b97f4a7c15;

uint64_t SplitMix64(uint64_t& state) {
  uint64_t z = (state += kGoldenGamma);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
  z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
  return z ^ (z >> 31);
}

}  // namespace

Rng::Rng(uint64_t seed) {
  for (uint64_t& word : state_) word = SplitMix64(seed);
}

Rng Rng::ForKey(uint64_t seed, uint64_t a, uint64_t b, uint64_t c) {
  // Each part is mixed before the next is added, so that (1, 2) and (2, 1)
  // are far apart.
  uint64_t mixed = SplitMix64(seed);
  for (uint64_t part : {a, b, c}) {
    mixed ^= part;
    mixed = SplitMix64(mixed);
  }
  return Rng(mixed);
}

Rng Rng::FromState(const std::array<uint64_t, 4>& state) {
  MEAD_CHECK((state[0] | state[1] | state[2] | state[3]) != 0, "an all-zero state never changes");
  Rng rng;
  rng.state_ = state;
  return rng;
}

uint64_t Rng::NextUint64() {
  auto& s = state_;
  const uint64_t result = std::rotl(s[0] + s[3], 23) + s[0];
  const uint64_t t = s[1] << 17;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = std::rotl(s[3], 45);
  return result;
}

double Rng::NextDouble() { return static_cast<double>(NextUint64() >> 11) * 0x1.0p-53; }

double Rng::Uniform(double low, double high) {
  const double value = low + (high - low) * NextDouble();
  // Rounding can reach the open end.
  return value < high ? value : low;
}

uint64_t Rng::Below(uint64_t n) {
  MEAD_CHECK(n > 0, "there is no number below 0");
  using Wide = unsigned __int128;
  Wide product = static_cast<Wide>(NextUint64()) * n;
  if (static_cast<uint64_t>(product) < n) {
    const uint64_t threshold = (0 - n) % n;
    while (static_cast<uint64_t>(product) < threshold) {
      product = static_cast<Wide>(NextUint64()) * n;
    }
  }
  return static_cast<uint64_t>(product >> 64);
}

double Rng::Normal() {
  // Marsaglia's polar method; its second value is thrown away so that the
  // generator's state is all there is to know.
  for (;;) {
    const double u = 2 * NextDouble() - 1;
    const double v = 2 * NextDouble() - 1;
    const double square = u * u + v * v;
    if (square > 0 && square < 1) return u * std::sqrt(-2 * std::log(square) / square);
  }
}

}  // namespace mead
