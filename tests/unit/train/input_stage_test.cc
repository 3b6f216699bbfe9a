#include "worker/train/input/input_stage.h"

#include <gmock/gmock.h>

#include "common/augment/render.h"
#include "tests/unit/train/session_problem.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

constexpr size_t kPictureBytes = size_t{3} * kSide * kSide;
constexpr PictureSize kSize{50, 40};
const AugmentOptions kAugment{.rotate = 180,
                              .flip = Flip::kBoth,
                              .crop_lo = 0.5,
                              .crop_hi = 1,
                              .lighting = 0.2,
                              .erasing = 0.5};

std::vector<uint8_t> Decoded(uint64_t picture) {
  Rng rng(picture);
  std::vector<uint8_t> pixels(size_t{3} * kSize.width * kSize.height);
  for (uint8_t& pixel : pixels) pixel = static_cast<uint8_t>(rng.Below(256));
  return pixels;
}

AugmentPlan PlanOf(uint64_t epoch, uint64_t picture) {
  return DrawAugmentation({1, epoch, picture}, kAugment, kSize, kSide);
}

// A batch of pictures [first, first + n), as pixels, and as plans for those of `planned`.
struct Batch {
  Batch(int n, uint64_t first, uint64_t epoch, const std::vector<int>& places)
      : all(static_cast<size_t>(n) * kPictureBytes),
        mixed(all.size(), 99),
        planned(static_cast<size_t>(n)) {
    for (int i = 0; i < n; ++i) {
      const uint64_t picture = first + static_cast<uint64_t>(i);
      uint8_t* out = all.data() + static_cast<size_t>(i) * kPictureBytes;
      RenderAugmented(Decoded(picture).data(), kSize, PlanOf(epoch, picture), kSide, out);
      labels.push_back(i % 3);
      if (std::find(places.begin(), places.end(), i) != places.end()) {
        planned[static_cast<size_t>(i)] = {static_cast<int64_t>(picture), PlanOf(epoch, picture)};
      } else {
        std::copy_n(out, kPictureBytes, mixed.data() + static_cast<size_t>(i) * kPictureBytes);
      }
    }
  }

  std::vector<uint8_t> all;    // the pixels of every place
  std::vector<uint8_t> mixed;  // without those that are planned
  std::vector<PlannedPicture> planned;
  std::vector<int32_t> labels;
};

std::shared_ptr<ResidentStore> StoreOf(uint64_t pictures) {
  auto store = std::make_shared<ResidentStore>(at::kCPU, 1 << 24);
  for (uint64_t i = 0; i < pictures; ++i) EXPECT_TRUE(store->Keep(i, kSize, Decoded(i).data()));
  return store;
}

TEST(InputStage, WhereAPictureCameFromDoesNotChangeAByte) {
  InputStage stage(at::kCPU, at::kFloat, 6, kSide);
  stage.UseStore(StoreOf(20));
  const std::vector<std::vector<int>> cases = {{},        {0},       {5},
                                               {1, 2, 4}, {0, 3, 5}, {0, 1, 2, 3, 4, 5}};
  for (size_t i = 0; i < cases.size(); ++i) {
    const Batch batch(6, 2 * i, i, cases[i]);
    const DeviceBatch loaded =
        stage.Load(batch.mixed.data(), batch.labels.data(), 6, batch.planned.data());
    const auto* pixels = loaded.pixels.const_data_ptr<uint8_t>();
    EXPECT_TRUE(std::equal(batch.all.begin(), batch.all.end(), pixels)) << "case " << i;
    EXPECT_EQ(loaded.labels[4].item<int64_t>(), 1);
  }
}

TEST(InputStage, ABatchOfPlansNeedsNoPixels) {
  InputStage stage(at::kCPU, at::kFloat, 4, kSide);
  stage.UseStore(StoreOf(4));
  const Batch batch(2, 1, 1, {0, 1});
  const DeviceBatch loaded = stage.Load(nullptr, batch.labels.data(), 2, batch.planned.data());
  EXPECT_EQ(loaded.size(), 2);
  EXPECT_TRUE(
      std::equal(batch.all.begin(), batch.all.end(), loaded.pixels.const_data_ptr<uint8_t>()));
}

TEST(InputStage, APlanForAPictureThatIsNotThereIsAnError) {
  InputStage stage(at::kCPU, at::kFloat, 4, kSide);
  const Batch batch(2, 3, 1, {1});
  const auto load = [&] {
    stage.Load(batch.mixed.data(), batch.labels.data(), 2, batch.planned.data());
  };
  EXPECT_THAT(ErrorOf(ErrorKind::kInternal, load), HasSubstr("picture 4 at place 1"));
  stage.UseStore(StoreOf(4));
  EXPECT_THAT(ErrorOf(ErrorKind::kInternal, load), HasSubstr("does not hold it"));
}

// Of four pictures, two of them plans, the first three are mixed with those behind them.
TEST(InputStage, MixesPlannedPicturesAndPixelsAlike) {
  for (const MixOptions options : {MixOptions{.mixup = 1}, MixOptions{.cutmix = 1}}) {
    const std::vector<std::vector<int>> cases = {{}, {1, 3}, {0, 1, 2, 3}};
    for (const std::vector<int>& places : cases) {
      InputStage stage(at::kCPU, at::kFloat, 3, kSide, /*mixes=*/true);
      stage.UseStore(StoreOf(20));
      for (uint64_t step = 0; step < 3; ++step) {
        const Batch batch(4, step, step, places);
        BatchMix mix = PartnersOf(/*size=*/8, /*begin=*/2, /*count=*/3);
        ASSERT_EQ(mix.pictures, 4);
        mix.plan = DrawMix({5, 1, step}, options, kSide);
        const DeviceBatch loaded =
            stage.Load(batch.mixed.data(), batch.labels.data(), 3,
                       places.empty() ? nullptr : batch.planned.data(), &mix);
        ASSERT_TRUE(loaded.mixed());
        const auto* found = loaded.pixels.const_data_ptr<uint8_t>();
        for (size_t i = 0; i < 3; ++i) {
          std::vector<uint8_t> expected(kPictureBytes);
          MixPictures(batch.all.data() + i * kPictureBytes,
                      batch.all.data() + (i + 1) * kPictureBytes, mix.plan, kSide, expected.data());
          EXPECT_TRUE(std::equal(expected.begin(), expected.end(), found + i * kPictureBytes));
          const auto place = static_cast<int64_t>(i);
          EXPECT_EQ(loaded.labels[place].item<int64_t>(), batch.labels[i]);
          EXPECT_EQ(loaded.partner_labels[place].item<int64_t>(), batch.labels[i + 1]);
          EXPECT_NEAR(loaded.partner_shares[place].item<double>(), PartnerShare(mix.plan, kSide),
                      1e-6);
        }
        EXPECT_TRUE(
            at::equal(loaded.Part(1, 2).partner_labels, loaded.partner_labels.narrow(0, 1, 2)));
      }
    }
  }
}

TEST(InputStage, ASessionThatMixesWantsToKnowWhat) {
  TrainOptions options = Options();
  options.mixes = true;
  TrainingSession session(options, Alone());
  const Batch batch(8, 0, 0, {});
  EXPECT_THAT(ErrorOf(ErrorKind::kInternal,
                      [&] { session.StartStep(batch.all.data(), batch.labels.data(), 8, 8); }),
              HasSubstr("without what is mixed"));
  BatchMix mix = PartnersOf(8, 0, 8);
  mix.partners[3] = 8;
  EXPECT_THAT(
      ErrorOf(
          ErrorKind::kInternal,
          [&] { session.StartStep(batch.all.data(), batch.labels.data(), 8, 8, nullptr, &mix); }),
      HasSubstr("partners of 8 pictures"));
}

TEST(InputStage, ASessionTrainsAlikeOnPlansAndOnPixels) {
  std::vector<std::vector<double>> losses;
  for (const bool resident : {false, true}) {
    TrainOptions options = Options();
    options.resident_bytes = resident ? 1 << 24 : 0;
    TrainingSession session(options, Alone());
    const std::shared_ptr<PictureStore> store = session.KeepPictures();
    ASSERT_EQ(store != nullptr, resident);
    for (uint64_t i = 0; resident && i < 16; ++i) {
      ASSERT_TRUE(store->Keep(i, kSize, Decoded(i).data()));
    }
    losses.emplace_back();
    for (uint64_t step = 0; step < 4; ++step) {
      const Batch batch(8, step, step, {0, 1, 2, 5, 7});
      session.StartStep(resident ? batch.mixed.data() : batch.all.data(), batch.labels.data(), 8, 8,
                        resident ? batch.planned.data() : nullptr);
      losses.back().push_back(session.FinishedSteps(/*wait=*/true).back().loss);
    }
  }
  EXPECT_EQ(losses[0], losses[1]);
}

TEST(InputStage, OnACpuNothingIsKeptUnlessToldTo) {
  TrainingSession session(Options(), Alone());
  EXPECT_EQ(session.KeepPictures(), nullptr);
}

}  // namespace
}  // namespace mead::train
