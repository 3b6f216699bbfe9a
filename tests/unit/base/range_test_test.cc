#include "common/base/range_test.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

namespace mead {
namespace {

constexpr RangeTestOptions kFive = {.min_lr = 1e-4, .max_lr = 1, .steps = 5};

TEST(RangeTestRate, GrowsByTheSameFactorFromTheFirstStepToTheLast) {
  const double expected[] = {1e-4, 1e-3, 1e-2, 1e-1, 1};
  for (int64_t step = 0; step < 5; ++step) {
    EXPECT_NEAR(RangeTestRate(kFive, step) / expected[step], 1, 1e-12) << step;
  }
  EXPECT_EQ(RangeTestRate(kFive, 0), 1e-4);
  EXPECT_EQ(RangeTestRate(kFive, 4), 1);
  EXPECT_EQ(RangeTestRate(kFive, 9), 1) << "beyond the end";
}

// The moving average by hand: 0.98 * average + 0.02 * loss, divided by 1 - 0.98^n.
TEST(RangeTest, SmoothsWithTheBeginningCorrected) {
  RangeTest test(kFive);
  test.Add(2);
  test.Add(1);
  test.Add(3);
  ASSERT_EQ(test.points().size(), 3u);
  EXPECT_NEAR(test.points()[0].smoothed_loss, 2, 1e-12);
  EXPECT_NEAR(test.points()[1].smoothed_loss, (0.98 * 0.02 * 2 + 0.02 * 1) / (1 - 0.98 * 0.98),
              1e-12);
  EXPECT_NEAR(test.points()[2].smoothed_loss,
              (0.98 * 0.98 * 0.04 + 0.98 * 0.02 + 0.06) / (1 - std::pow(0.98, 3)), 1e-12);
  EXPECT_EQ(test.points()[2].loss, 3);
  EXPECT_NEAR(test.points()[2].lr, 1e-2, 1e-15);
  EXPECT_FALSE(test.ended());
}

TEST(RangeTest, EndsAfterAllSteps) {
  RangeTest test(kFive);
  for (int step = 0; step < 5; ++step) {
    EXPECT_FALSE(test.ended());
    test.Add(1);
  }
  EXPECT_EQ(test.state(), RangeTest::State::kAllSteps);
  EXPECT_EQ(test.points().back().lr, 1);
}

TEST(RangeTest, EndsWhenTheSmoothedLossIsAboveFourTimesItsSmallest) {
  RangeTest test(kFive);
  test.Add(1);
  // Of two points the average weighs the second by 1 / 1.98 (0.02 / 0.0396).
  const double limit = (4 - 0.98 / 1.98) * 1.98;
  RangeTest other = test;
  other.Add(limit * 0.999);
  EXPECT_FALSE(other.ended());
  test.Add(limit * 1.001);
  EXPECT_EQ(test.state(), RangeTest::State::kRose);
  EXPECT_EQ(test.points().size(), 2u) << "the step that rose is part of the curve";
}

TEST(RangeTest, ALossThatIsNoNumberEndsItWithoutAPoint) {
  for (const double loss :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    RangeTest test(kFive);
    test.Add(1);
    test.Add(loss);
    EXPECT_EQ(test.state(), RangeTest::State::kDiverged);
    EXPECT_EQ(test.points().size(), 1u);
  }
}

}  // namespace
}  // namespace mead
