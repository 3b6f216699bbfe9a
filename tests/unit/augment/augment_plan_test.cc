#include "common/augment/augment_plan.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/unit/augment/reference.h"

namespace mead {
namespace {

const AugmentOptions kAll{
    .rotate = 180, .flip = Flip::kBoth, .crop_lo = 0.5, .crop_hi = 0.9, .lighting = 0.3};

double Value(int64_t fixed, int bits) { return std::ldexp(static_cast<double>(fixed), -bits); }

TEST(AugmentPlanTest, SeedsMeanTheRandomNumbersThatTheyAlwaysMeant) {
  for (const Flip flip : {Flip::kNone, Flip::kHorizontal, Flip::kVertical, Flip::kBoth}) {
    AugmentOptions options = kAll;
    options.flip = flip;
    for (uint64_t sample = 0; sample < 100; ++sample) {
      const AugmentKey key{.seed = 7, .epoch = 3, .sample = sample};
      const PictureSize size{360, 288};
      const AugmentPlan plan = DrawAugmentation(key, options, size, 224);
      const ReferencePlan expected = ReferenceDraw(key, options, size, 224);
      EXPECT_NEAR(Value(plan.xx, kPositionBits), expected.xx, 1e-9);
      EXPECT_NEAR(Value(plan.xy, kPositionBits), expected.xy, 1e-9);
      EXPECT_NEAR(Value(plan.x0, kPositionBits), expected.x0, 1e-9);
      EXPECT_NEAR(Value(plan.yx, kPositionBits), expected.yx, 1e-9);
      EXPECT_NEAR(Value(plan.yy, kPositionBits), expected.yy, 1e-9);
      EXPECT_NEAR(Value(plan.y0, kPositionBits), expected.y0, 1e-9);
      EXPECT_NEAR(Value(plan.gain, kGainBits), expected.gain, 1.0 / 8192);
      EXPECT_NEAR(Value(plan.offset, kOffsetBits), expected.offset, 1e-6);
    }
  }
}

TEST(AugmentPlanTest, DependsOnSeedEpochAndSample) {
  const PictureSize size{60, 50};
  const AugmentPlan plan = DrawAugmentation({1, 2, 3}, kAll, size, 32);
  EXPECT_EQ(plan, DrawAugmentation({1, 2, 3}, kAll, size, 32));
  EXPECT_NE(plan, DrawAugmentation({2, 2, 3}, kAll, size, 32));
  EXPECT_NE(plan, DrawAugmentation({1, 3, 3}, kAll, size, 32));
  EXPECT_NE(plan, DrawAugmentation({1, 2, 4}, kAll, size, 32));
}

// So that switching a transform on changes nothing else for a seed.
TEST(AugmentPlanTest, OneTransformLeavesTheOthersAsTheyWere) {
  const PictureSize size{60, 50};
  const AugmentPlan all = DrawAugmentation({1, 2, 3}, kAll, size, 32);
  AugmentOptions dark = kAll;
  dark.lighting = 0;
  const AugmentPlan unlit = DrawAugmentation({1, 2, 3}, dark, size, 32);
  EXPECT_EQ(unlit.xx, all.xx);
  EXPECT_EQ(unlit.y0, all.y0);
  EXPECT_EQ(unlit.gain, 1 << kGainBits);
  EXPECT_EQ(unlit.offset, 0);
  AugmentOptions upright = kAll;
  upright.rotate = 0;
  EXPECT_EQ(DrawAugmentation({1, 2, 3}, upright, size, 32).gain, all.gain);
}

TEST(AugmentPlanTest, DecodingKeepsWhatTheMiddleCropNeeds) {
  EXPECT_EQ(DecodeSideFor({.crop_lo = 1, .crop_hi = 1}, 224), 224);
  EXPECT_EQ(DecodeSideFor({.crop_lo = 0.25, .crop_hi = 0.25}, 224), 448);
  EXPECT_EQ(DecodeSideFor({.position_box = PositionBox::kCrop}, 240), 320);
}

TEST(AugmentPlanTest, PlainIsTheCentreAtItsScale) {
  const AugmentPlan same = PlainPlan({32, 32}, 32);
  EXPECT_EQ(same, DrawAugmentation({1, 1, 1}, {.flip = Flip::kNone}, {32, 32}, 32));
  // 40 of the middle columns, each pixel between two of them.
  const AugmentPlan half = PlainPlan({60, 40}, 20);
  EXPECT_EQ(Value(half.xx, kPositionBits), 2);
  EXPECT_EQ(Value(half.x0, kPositionBits), 10.5);
  EXPECT_EQ(Value(half.y0, kPositionBits), 0.5);
}

TEST(AugmentPlanTest, SettingsOutOfRangeAreNamed) {
  EXPECT_EQ(ProblemOf(kAll), "");
  EXPECT_EQ(ProblemOf({.rotate = 200}), "augment.rotate is 200: expected 0 to 180 degrees");
  EXPECT_EQ(ProblemOf({.crop_lo = 0}),
            "augment.crop_scale is [0, 1]: expected 0 < low <= high <= 1");
  EXPECT_EQ(ProblemOf({.lighting = NAN}), "augment.lighting is nan: expected 0 to 1");
  EXPECT_EQ(ProblemOf({.erasing = 1.5}), "augment.erasing is 1.5: expected 0 to 1");
}

}  // namespace
}  // namespace mead
