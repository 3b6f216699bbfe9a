#include "common/augment/mix.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "common/base/epoch_plan.h"
#include "common/base/rng.h"

namespace mead {
namespace {

std::vector<uint8_t> Noise(uint64_t seed, int side) {
  Rng rng(seed);
  std::vector<uint8_t> pixels(size_t{3} * static_cast<size_t>(side * side));
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
  return pixels;
}

// Slowly, in double precision.
std::vector<uint8_t> ReferenceMix(const std::vector<uint8_t>& own,
                                  const std::vector<uint8_t>& partner, const MixPlan& plan,
                                  int side) {
  const double weight = plan.partner_weight / 4096.0;
  std::vector<uint8_t> out;
  for (int y = 0; y < side; ++y) {
    for (int x = 0; x < side; ++x) {
      const bool inside = x >= plan.box.left && x - plan.box.left < plan.box.width &&
                          y >= plan.box.top && y - plan.box.top < plan.box.height;
      for (int c = 0; c < 3; ++c) {
        const size_t at = static_cast<size_t>(3 * (y * side + x) + c);
        out.push_back(static_cast<uint8_t>(
            std::lround(std::lerp(own[at], partner[at], inside ? weight : 0.0))));
      }
    }
  }
  return out;
}

TEST(MixTest, EqualsASlowReferenceInDoublePrecision) {
  for (const MixOptions options :
       {MixOptions{.mixup = 1}, MixOptions{.cutmix = 1}, MixOptions{.mixup = 0.2, .cutmix = 1}}) {
    for (const int side : {1, 7, 32, 65}) {
      for (uint64_t step = 0; step < 40; ++step) {
        const MixPlan plan = DrawMix({1, 2, step}, options, side);
        const std::vector<uint8_t> own = Noise(step, side), partner = Noise(step + 99, side);
        const std::vector<uint8_t> expected = ReferenceMix(own, partner, plan, side);
        std::vector<uint8_t> out(own.size());
        MixPictures(own.data(), partner.data(), plan, side, out.data());
        int worst = 0;
        for (size_t i = 0; i < out.size(); ++i) {
          worst = std::max(worst, std::abs(out[i] - expected[i]));
        }
        ASSERT_LE(worst, 1) << "side " << side << ", step " << step;
      }
    }
  }
}

TEST(MixTest, NoShareIsTheOwnPictureAndAllOfItThePartner) {
  const std::vector<uint8_t> own = Noise(1, 16), partner = Noise(2, 16);
  std::vector<uint8_t> out(own.size());
  const PixelBox whole{.left = 0, .top = 0, .width = 16, .height = 16};
  MixPictures(own.data(), partner.data(), {whole, 0}, 16, out.data());
  EXPECT_EQ(out, own);
  MixPictures(own.data(), partner.data(), {whole, 1 << kMixBits}, 16, out.data());
  EXPECT_EQ(out, partner);
  EXPECT_EQ(DrawMix({1, 1, 1}, {}, 16), MixPlan{});
  EXPECT_EQ(PartnerShare({}, 16), 0);
}

// The labels' share is what the pixels got.
TEST(MixTest, SharesAreThoseOfThePixels) {
  const int side = 64;
  const std::vector<uint8_t> own(size_t{3} * side * side, 0);
  const std::vector<uint8_t> partner(size_t{3} * side * side, 240);
  for (const MixOptions options : {MixOptions{.mixup = 0.5}, MixOptions{.cutmix = 1}}) {
    for (uint64_t step = 0; step < 100; ++step) {
      const MixPlan plan = DrawMix({3, 1, step}, options, side);
      std::vector<uint8_t> out(own.size());
      MixPictures(own.data(), partner.data(), plan, side, out.data());
      const double mean = std::accumulate(out.begin(), out.end(), 0.0) / 240 / 3 / side / side;
      EXPECT_NEAR(PartnerShare(plan, side), mean, 0.003);
    }
  }
}

// Beta(a, a): mean 1/2, variance 1 / (4 (2 a + 1)).
TEST(MixTest, SharesHaveTheMomentsOfTheBetaDistribution) {
  for (const double alpha : {0.01, 0.2, 1.0, 8.0, 100.0}) {
    double sum = 0, squares = 0;
    const int n = 20000;
    for (uint64_t step = 0; step < n; ++step) {
      const double share = PartnerShare(DrawMix({1, 1, step}, {.mixup = alpha}, 8), 8);
      ASSERT_TRUE(share >= 0 && share <= 1);
      sum += share, squares += (share - 0.5) * (share - 0.5);
    }
    EXPECT_NEAR(sum / n, 0.5, 0.015) << alpha;
    EXPECT_NEAR(squares / n, 1 / (4 * (2 * alpha + 1)), 0.004) << alpha;
  }
}

TEST(MixTest, OneOfTheTwoPerBatchWithBothAndTheBoxStaysInside) {
  int cuts = 0;
  for (uint64_t step = 0; step < 2000; ++step) {
    const MixPlan plan = DrawMix({1, 1, step}, {.mixup = 0.2, .cutmix = 1}, 64);
    const PixelBox whole{.left = 0, .top = 0, .width = 64, .height = 64};
    cuts += plan.partner_weight == 1 << kMixBits && plan.box != whole ? 1 : 0;
    EXPECT_GE(plan.box.left, 0);
    EXPECT_GE(plan.box.top, 0);
    EXPECT_LE(plan.box.left + plan.box.width, 64);
    EXPECT_LE(plan.box.top + plan.box.height, 64);
    EXPECT_EQ(plan, DrawMix({1, 1, step}, {.mixup = 0.2, .cutmix = 1}, 64));
  }
  EXPECT_NEAR(cuts, 1000, 80);
}

// However a batch is shared out, each sample meets the same partner.
TEST(MixTest, PartnersDoNotDependOnTheNumberOfRanks) {
  for (const uint64_t samples : {uint64_t{17}, uint64_t{16}, uint64_t{9}}) {
    for (const uint32_t ranks : {1u, 2u, 3u, 4u, 8u}) {
      const EpochPlan plan(
          {.num_samples = samples, .seed = 3, .epoch = 2, .batch_size = 8, .world_size = ranks});
      for (uint64_t step = 0; step < plan.steps(); ++step) {
        const auto batch = plan.Batch(step);
        size_t begin = 0;
        for (uint32_t rank = 0; rank < ranks; ++rank) {
          const auto slice = plan.Slice(step, rank);
          std::vector<uint64_t> mine(slice.begin(), slice.end());
          const BatchMix mix = PartnersOf(batch.size(), begin, mine.size());
          const auto extra = PlaceFromElsewhere(batch.size(), begin, mine.size());
          if (extra.has_value()) mine.push_back(batch[*extra]);
          ASSERT_EQ(mix.partners.size(), slice.size());
          ASSERT_EQ(static_cast<size_t>(mix.pictures), mine.size());
          for (size_t i = 0; i < slice.size(); ++i) {
            EXPECT_EQ(mine[static_cast<size_t>(mix.partners[i])],
                      batch[(begin + i + 1) % batch.size()]);
          }
          begin += slice.size();
        }
        EXPECT_EQ(begin, batch.size());
      }
    }
  }
}

TEST(MixTest, SettingsOutOfRangeAreNamed) {
  EXPECT_EQ(ProblemOf(MixOptions{.mixup = 0.2, .cutmix = 1}), "");
  EXPECT_EQ(ProblemOf(MixOptions{.mixup = -1}), "augment.mixup is -1: expected 0 to 100");
  EXPECT_EQ(ProblemOf(MixOptions{.cutmix = NAN}), "augment.cutmix is nan: expected 0 to 100");
}

}  // namespace
}  // namespace mead
