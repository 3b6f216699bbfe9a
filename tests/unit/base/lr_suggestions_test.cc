#include "common/base/lr_suggestions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mead {
namespace {

// Rates 1, 10, 100 ... of these smoothed losses.
std::vector<RangeTestPoint> Curve(const std::vector<double>& losses) {
  std::vector<RangeTestPoint> curve;
  for (const double loss : losses) {
    curve.push_back({.lr = std::pow(10.0, static_cast<double>(curve.size())),
                     .loss = 0,
                     .smoothed_loss = loss});
  }
  return curve;
}

// tests/interop compares whole curves with fast.ai's formulas; here by hand. Of 20 steps the
// first 2 are left out, and the last 5 points.
TEST(LrSuggestions, AreWhereTheLossFalls) {
  //                          left out  | 2  3  4   5  6  7   8  9   | left out
  const auto curve = Curve({0, 0, 9, 8, 8.5, 7, 3, 2, 1.5, 4, 0, 0, 0, 0, 0});
  const LrSuggestions suggestions = SuggestLearningRates(curve, 20);
  // 9 8 7 3 2 1.5 falls, six points, and ends at place 6 of what is left: 6 - 6 + 2 + 1 = 3.
  ASSERT_TRUE(suggestions.valley);
  EXPECT_EQ(suggestions.valley->at, 5u);
  EXPECT_NEAR(suggestions.valley->lr, 1e5, 1e-6);
  ASSERT_TRUE(suggestions.steep);
  EXPECT_EQ(suggestions.steep->at, 5u) << "from 7 to 3";
  ASSERT_TRUE(suggestions.minimum_tenth);
  EXPECT_EQ(suggestions.minimum_tenth->at, 8u);
  EXPECT_NEAR(suggestions.minimum_tenth->lr, 1e7, 1e-4);
  EXPECT_FALSE(suggestions.still_falls);
}

TEST(LrSuggestions, ThereAreNoneWhereTheLossOnlyRises) {
  const LrSuggestions suggestions =
      SuggestLearningRates(Curve({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}), 12);
  EXPECT_FALSE(suggestions.valley || suggestions.steep || suggestions.minimum_tenth);
}

TEST(LrSuggestions, ThereAreNoneOfATestThatHardlyBegan) {
  const LrSuggestions suggestions = SuggestLearningRates(Curve({9, 8, 7, 6, 5, 4, 3, 2}), 20);
  EXPECT_FALSE(suggestions.valley || suggestions.steep || suggestions.minimum_tenth);
  EXPECT_FALSE(SuggestLearningRates({}, 0).valley);
}

TEST(LrSuggestions, ALossThatFallsToTheEndIsTold) {
  const LrSuggestions suggestions =
      SuggestLearningRates(Curve({9, 8, 7, 6, 5, 4, 3, 2, 1, 0.5}), 10);
  EXPECT_TRUE(suggestions.still_falls);
  EXPECT_TRUE(suggestions.valley);
}

}  // namespace
}  // namespace mead
