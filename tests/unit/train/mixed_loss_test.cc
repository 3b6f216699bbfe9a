// The loss of pictures with two labels, against double precision; and training on them.
#include <gmock/gmock.h>

#include <cmath>

#include "tests/unit/train/session_problem.h"
#include "worker/train/step.h"

namespace mead::train {
namespace {

constexpr int64_t kPictures = 6, kClasses = 5;

// Cross entropy with the target (1 - smoothing) * mixture of both labels + smoothing / classes.
double Reference(const at::Tensor& logits, const std::vector<int64_t>& own,
                 const std::vector<int64_t>& partner, const std::vector<float>& shares,
                 double smoothing) {
  double sum = 0;
  for (int64_t i = 0; i < kPictures; ++i) {
    const auto at = static_cast<size_t>(i);
    double total = 0;
    for (int64_t c = 0; c < kClasses; ++c) total += std::exp(logits[i][c].item<double>());
    for (int64_t c = 0; c < kClasses; ++c) {
      const double share = shares[at];
      const double label = (own[at] == c ? 1 - share : 0) + (partner[at] == c ? share : 0);
      const double target = (1 - smoothing) * label + smoothing / kClasses;
      sum -= target * (logits[i][c].item<double>() - std::log(total));
    }
  }
  return sum;
}

TEST(MixedLoss, CountsBothLabelsByTheirSharesAndIsSmoothedAsOne) {
  const std::vector<int64_t> own = {0, 1, 2, 3, 4, 2};
  const std::vector<int64_t> partner = {1, 2, 3, 4, 2, 2};
  const std::vector<float> shares = {0, 0.25F, 0.5F, 0.75F, 1, 0.3F};
  at::Tensor logits = at::empty({kPictures, kClasses}, at::dtype(at::kFloat));
  Rng rng(3);
  for (int64_t i = 0; i < logits.numel(); ++i) {
    logits.data_ptr<float>()[i] = static_cast<float>(rng.Uniform(-3, 3));
  }
  DeviceBatch batch;
  batch.labels = at::tensor(own);
  for (const double smoothing : {0.0, 0.1}) {
    EXPECT_NEAR(TrainingStep::LossSum(logits, batch, smoothing).item<double>(),
                Reference(logits, own, own, shares, smoothing), 1e-5);
  }
  batch.partner_labels = at::tensor(partner);
  batch.partner_shares = at::tensor(shares);
  for (const double smoothing : {0.0, 0.1}) {
    EXPECT_NEAR(TrainingStep::LossSum(logits, batch, smoothing).item<double>(),
                Reference(logits, own, partner, shares, smoothing), 1e-5);
  }
}

// Where nothing is mixed in, a session that mixes learns what another does.
TEST(MixedLoss, AnEmptyMixTrainsAsNone) {
  std::vector<std::vector<double>> losses;
  for (const bool mixes : {false, true}) {
    TrainOptions options = Options();
    options.mixes = mixes;
    TrainingSession session(options, Alone());
    losses.emplace_back();
    for (uint64_t step = 0; step < 3; ++step) {
      const Pictures batch = MakePictures(8, 3, step);
      const BatchMix mix = PartnersOf(8, 0, 8);
      session.StartStep(batch.pixels.data(), batch.labels.data(), 8, 8, nullptr,
                        mixes ? &mix : nullptr);
      losses.back().push_back(session.FinishedSteps(/*wait=*/true).back().loss);
    }
  }
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(losses[0][i], losses[1][i], 1e-4);
}

// All of the pixels from the partner, and all of the label.
TEST(MixedLoss, AWholePartnerIsThePartner) {
  std::vector<double> losses;
  const Pictures batch = MakePictures(9, 3, 1);
  const auto picture_bytes = static_cast<ptrdiff_t>(batch.pixels.size() / 9);
  for (const bool mixes : {false, true}) {
    TrainOptions options = Options();
    options.mixes = mixes;
    TrainingSession session(options, Alone());
    BatchMix mix = PartnersOf(16, 0, 8);
    mix.plan = {.box = {.left = 0, .top = 0, .width = kSide, .height = kSide},
                .partner_weight = 1 << kMixBits};
    ASSERT_EQ(mix.pictures, 9);
    session.StartStep(batch.pixels.data() + (mixes ? 0 : picture_bytes),
                      batch.labels.data() + (mixes ? 0 : 1), 8, 8, nullptr, mixes ? &mix : nullptr);
    losses.push_back(session.FinishedSteps(/*wait=*/true).back().loss);
  }
  EXPECT_NEAR(losses[0], losses[1], 1e-5);
}

}  // namespace
}  // namespace mead::train
