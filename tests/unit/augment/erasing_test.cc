#include "common/augment/erasing.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/augment/reference.h"

namespace mead {
namespace {

TEST(ErasingTest, SeedsMeanTheRectanglesThatTheyAlwaysMeant) {
  for (const int side : {224, 33, 3}) {
    for (uint64_t sample = 0; sample < 200; ++sample) {
      const AugmentKey key{.seed = 7, .epoch = 2, .sample = sample};
      ReferencePlan expected;
      ReferenceErase(key, 0.8, side, expected);
      const PixelBox box = DrawErasing(key, 0.8, side);
      EXPECT_EQ(box.left, expected.erased_left);
      EXPECT_EQ(box.top, expected.erased_top);
      EXPECT_EQ(box.left + box.width, expected.erased_right);
      EXPECT_EQ(box.top + box.height, expected.erased_bottom);
    }
  }
}

TEST(ErasingTest, CoversThePapersRangesAndStaysInside) {
  const int side = 224;
  double smallest = 1, largest = 0, flattest = 1, tallest = 1;
  int left = side, top = side, right = 0, bottom = 0;
  for (uint64_t sample = 0; sample < 4000; ++sample) {
    const PixelBox box = DrawErasing({1, 1, sample}, 1, side);
    ASSERT_GT(box.width, 0);  // ten tries are always enough for a picture of this size
    const double share = static_cast<double>(box.width) * box.height / (side * side);
    const double ratio = static_cast<double>(box.height) / box.width;
    smallest = std::min(smallest, share), largest = std::max(largest, share);
    flattest = std::min(flattest, ratio), tallest = std::max(tallest, ratio);
    left = std::min(left, box.left), right = std::max(right, box.left + box.width);
    top = std::min(top, box.top), bottom = std::max(bottom, box.top + box.height);
  }
  EXPECT_NEAR(smallest, 0.02, 0.002);
  EXPECT_NEAR(largest, 0.33, 0.005);
  EXPECT_NEAR(flattest, 0.3, 0.03);
  EXPECT_NEAR(tallest, 3.3, 0.3);
  EXPECT_EQ(left, 0);
  EXPECT_EQ(top, 0);
  EXPECT_EQ(right, side);
  EXPECT_EQ(bottom, side);
}

TEST(ErasingTest, HappensAsOftenAsAskedFor) {
  for (const double probability : {0.0, 0.25, 1.0}) {
    int erased = 0;
    for (uint64_t sample = 0; sample < 4000; ++sample) {
      erased += DrawErasing({1, 3, sample}, probability, 64).width > 0 ? 1 : 0;
    }
    EXPECT_NEAR(erased / 4000.0, probability, 0.025);
  }
}

// So that a picture with and without it can be compared.
TEST(ErasingTest, LeavesTheRestOfThePlanAsItWas) {
  const AugmentOptions plain{.rotate = 90, .crop_lo = 0.5, .lighting = 0.2};
  AugmentOptions erasing = plain;
  erasing.erasing = 1;
  AugmentPlan plan = DrawAugmentation({1, 2, 3}, erasing, {60, 50}, 32);
  EXPECT_NE(plan.erased, PixelBox{});
  plan.erased = {};
  EXPECT_EQ(plan, DrawAugmentation({1, 2, 3}, plain, {60, 50}, 32));
}

}  // namespace
}  // namespace mead
