#include "common/base/rng.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <numeric>
#include <vector>

namespace mead {
namespace {

using ::testing::Each;

// Source: the output of Blackman and Vigna's xoshiro256plusplus.c from the state
// {1, 2, 3, 4}; the Rust crate rand_xoshiro tests with the same ten numbers.
TEST(Rng, MatchesTheReferenceImplementation) {
  Rng rng = Rng::FromState({1, 2, 3, 4});
  const uint64_t expected[] = {41943041u,
                               58720359u,
                               3588806011781223u,
                               3591011842654386u,
                               9228616714210784205u,
                               9973669472204895162u,
                               14011001112246962877u,
                               12406186145184390807u,
                               15849039046786891736u,
                               10450023813501588000u};
  for (uint64_t value : expected) EXPECT_EQ(rng.NextUint64(), value);
}

// Source: splitmix64 from 1234567, the vector published on Rosetta Code.
TEST(Rng, FillsItsStateWithSplitMix64) {
  Rng seeded(1234567);
  Rng reference = Rng::FromState(
      {6457827717110365317u, 3203168211198807973u, 9817491932198370423u, 4593380528125082431u});
  for (int i = 0; i < 100; ++i) EXPECT_EQ(seeded.NextUint64(), reference.NextUint64());
}

TEST(Rng, DoublesAreTheTop53Bits) {
  Rng bits(5), doubles(5);
  for (int i = 0; i < 1000; ++i) {
    const double value = doubles.NextDouble();
    EXPECT_EQ(value, std::ldexp(static_cast<double>(bits.NextUint64() >> 11), -53));
    EXPECT_GE(value, 0);
    EXPECT_LT(value, 1);
  }
}

TEST(Rng, UniformStaysInsideItsRange) {
  Rng rng(6);
  for (int i = 0; i < 1000; ++i) {
    const double value = rng.Uniform(-3, 5);
    EXPECT_GE(value, -3);
    EXPECT_LT(value, 5);
  }
  EXPECT_EQ(rng.Uniform(2, 2), 2);
  const double next = std::nextafter(1.0, 2.0);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(rng.Uniform(1, next), 1);
}

TEST(Rng, BelowIsUnbiased) {
  Rng rng(7);
  std::vector<int> counts(7);
  constexpr int kDraws = 70000;
  for (int i = 0; i < kDraws; ++i) ++counts[rng.Below(7)];
  double chi_squared = 0;
  for (int count : counts) chi_squared += (count - 10000.0) * (count - 10000.0) / 10000.0;
  EXPECT_LT(chi_squared, 22.46);  // 99.9 % point with 6 degrees of freedom
}

TEST(Rng, BelowCoversRangesAboveHalfOfAll) {
  // Here almost every second product is in the rejection zone.
  Rng rng(8);
  const uint64_t n = (uint64_t{1} << 63) + 1;
  for (int i = 0; i < 1000; ++i) EXPECT_LT(rng.Below(n), n);
  EXPECT_EQ(rng.Below(1), 0u);
}

TEST(Rng, NormalHasMeanZeroAndVarianceOne) {
  Rng rng(9);
  constexpr int kDraws = 100000;
  double sum = 0, squares = 0, fourth = 0;
  for (int i = 0; i < kDraws; ++i) {
    const double value = rng.Normal();
    sum += value;
    squares += value * value;
    fourth += value * value * value * value;
  }
  EXPECT_NEAR(sum / kDraws, 0, 0.02);
  EXPECT_NEAR(squares / kDraws, 1, 0.02);
  EXPECT_NEAR(fourth / kDraws, 3, 0.15);
}

TEST(Rng, ShufflePermutes) {
  std::vector<int> values(100);
  std::iota(values.begin(), values.end(), 0);
  const std::vector<int> sorted = values;
  Rng(10).Shuffle(std::span<int>(values));
  EXPECT_NE(values, sorted);
  EXPECT_THAT(values, ::testing::UnorderedElementsAreArray(sorted));
}

TEST(Rng, ShuffleGivesEveryPermutationEquallyOften) {
  std::vector<int> counts(6);
  Rng rng(11);
  for (int i = 0; i < 6000; ++i) {
    std::vector<int> v{0, 1, 2};
    rng.Shuffle(std::span<int>(v));
    ++counts[static_cast<size_t>(v[0] * 2 + (v[1] > v[2]))];
  }
  EXPECT_THAT(counts, Each(::testing::AllOf(::testing::Gt(880), ::testing::Lt(1120))));
}

TEST(Rng, KeysGiveDifferentStreams) {
  const uint64_t streams[] = {
      Rng::ForKey(1, 2).NextUint64(),       Rng::ForKey(2, 1).NextUint64(),
      Rng::ForKey(1, 2, 1).NextUint64(),    Rng::ForKey(1, 1, 2).NextUint64(),
      Rng::ForKey(1, 2, 0, 1).NextUint64(), Rng::ForKey(0, 0).NextUint64()};
  for (size_t i = 0; i < std::size(streams); ++i) {
    for (size_t j = 0; j < i; ++j) EXPECT_NE(streams[i], streams[j]);
  }
  EXPECT_EQ(Rng::ForKey(1, 2, 3).NextUint64(), Rng::ForKey(1, 2, 3, 0).NextUint64());
}

}  // namespace
}  // namespace mead
