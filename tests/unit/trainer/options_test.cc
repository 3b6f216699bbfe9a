#include "worker/trainer/options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/sha256.h"

namespace mead::trainer {
namespace {

using ::testing::HasSubstr;

v1::Prepare Prepare() {
  v1::Prepare prepare;
  prepare.set_world_size(1);
  prepare.set_device("cpu");
  prepare.set_threads(2);
  return prepare;
}

TEST(TrainerOptions, AbsentKeysGetTheDefaultsOfTheSweepFile) {
  const train::TrainOptions options = ToTrainOptions(Prepare(), 3, 10);
  EXPECT_EQ(options.model, "resnet50");
  EXPECT_EQ(options.batch_size, 64);
  EXPECT_EQ(options.epochs, 10);
  EXPECT_EQ(options.num_classes, 3);
  EXPECT_EQ(options.steps_per_epoch, 10);
  EXPECT_EQ(options.threads, 2);
  EXPECT_EQ(options.precision, train::Precision::kFp32);
  EXPECT_EQ(options.optimizer.kind, train::OptimizerKind::kSgd);
  EXPECT_EQ(options.clip_grad_norm, 0);
  EXPECT_EQ(options.ema_decay, 0);
  EXPECT_EQ(options.micro_batch, 0);
  EXPECT_EQ(options.virtual_ranks, 0);
  EXPECT_EQ(options.resident_bytes, train::kResidentAuto);
  EXPECT_FALSE(options.freeze_batch_norm);
  EXPECT_EQ(options.gradients_on_wire, train::Precision::kFp32);
}

TEST(TrainerOptions, EveryKeyOfTheStepArrives) {
  v1::Prepare prepare = Prepare();
  v1::TrainConfig& config = *prepare.mutable_config();
  config.set_ema(0.999);
  config.set_micro_batch(8);
  config.set_freeze_batch_norm(true);
  config.set_resident("off");
  config.set_precision("bf16");
  config.set_gradients_on_wire("bf16");
  config.mutable_optimizer()->set_name("lars");
  config.mutable_optimizer()->set_clip_grad_norm(2.5);
  config.mutable_optimizer()->set_trust_coefficient(0.02);
  const train::TrainOptions options = ToTrainOptions(prepare, 3, 10);
  EXPECT_EQ(options.ema_decay, 0.999);
  EXPECT_EQ(options.micro_batch, 8);
  EXPECT_EQ(options.resident_bytes, 0);
  EXPECT_TRUE(options.freeze_batch_norm);
  EXPECT_EQ(options.precision, train::Precision::kBf16);
  EXPECT_EQ(options.gradients_on_wire, train::Precision::kBf16);
  EXPECT_EQ(options.optimizer.kind, train::OptimizerKind::kLars);
  EXPECT_EQ(options.clip_grad_norm, 2.5);
  EXPECT_EQ(options.optimizer.trust_coefficient, 0.02);
}

TEST(TrainerOptions, AugmentationIsReadInTheSweepFilesWords) {
  v1::AugmentConfig config;
  EXPECT_EQ(ToAugmentOptions(config).flip, Flip::kHorizontal);
  EXPECT_EQ(ToAugmentOptions(config).position_box, PositionBox::kKeep);
  EXPECT_FALSE(ToMixOptions(config).any());
  v1::Prepare prepare = Prepare();
  EXPECT_FALSE(ToTrainOptions(prepare, 3, 10).mixes);
  config.set_flip("both");
  config.set_erasing(0.25);
  config.set_position_box("crop");
  config.set_mixup(0.2);
  config.set_cutmix(1);
  EXPECT_EQ(ToAugmentOptions(config).flip, Flip::kBoth);
  EXPECT_EQ(ToAugmentOptions(config).erasing, 0.25);
  EXPECT_EQ(ToAugmentOptions(config).position_box, PositionBox::kCrop);
  EXPECT_EQ(ToMixOptions(config).mixup, 0.2);
  EXPECT_EQ(ToMixOptions(config).cutmix, 1);
  *prepare.mutable_config()->mutable_augment() = config;
  EXPECT_TRUE(ToTrainOptions(prepare, 3, 10).mixes);
  config.set_position_box("cut");
  try {
    ToAugmentOptions(config);
    FAIL() << "no error";
  } catch (const train::TrainError& error) {
    EXPECT_THAT(error.what(), HasSubstr("position_box is keep, mask or crop, got 'cut'"));
  }
}

TEST(TrainerOptions, EveryKeyOfTheScheduleArrives) {
  v1::Prepare prepare = Prepare();
  prepare.mutable_objective()->set_goal("minimize");
  v1::TrainConfig& config = *prepare.mutable_config();
  config.set_schedule("step");
  config.set_warmup_epochs(0.5);
  config.add_step_epochs(3);
  config.set_lr_gamma(0.3);
  config.set_patience(7);
  config.mutable_early_stopping()->set_patience(4);
  config.mutable_early_stopping()->set_min_delta(0.01);
  const train::TrainOptions options = ToTrainOptions(prepare, 3, 10);
  EXPECT_EQ(options.schedule, train::ScheduleKind::kStep);
  EXPECT_EQ(options.warmup_epochs, 0.5);
  EXPECT_EQ(options.step_epochs, std::vector<int>{3});
  EXPECT_EQ(options.lr_gamma, 0.3);
  EXPECT_EQ(options.patience, 7);
  EXPECT_FALSE(options.maximize);
  EXPECT_EQ(options.stop_patience, 4);
  EXPECT_EQ(options.stop_min_delta, 0.01);
  const train::TrainOptions absent = ToTrainOptions(Prepare(), 3, 10);
  EXPECT_TRUE(absent.maximize);
  EXPECT_EQ(absent.stop_patience, 0);
  EXPECT_EQ(absent.lr_gamma, 0.1);
  EXPECT_EQ(absent.patience, 3);
}

TEST(TrainerOptions, PhasesByStageAndBySizeArrive) {
  v1::Prepare prepare = Prepare();
  v1::TrainConfig& config = *prepare.mutable_config();
  config.set_test_time_augment("flip");
  config.set_stride("v1");
  v1::Phase& phase = *config.add_phases();
  phase.set_epochs(2);
  phase.set_freeze("layer3");
  phase.set_image_size(96);
  for (const double factor : {0.1, 0.2, 0.3, 0.4, 0.5}) phase.add_lr_scale(factor);
  const train::TrainOptions options = ToTrainOptions(prepare, 3, 10);
  EXPECT_EQ(options.evaluation_views, train::Views::kFlip);
  EXPECT_TRUE(options.stride_in_first);
  EXPECT_EQ(options.phases[0].frozen_stages, 3);
  EXPECT_FALSE(options.phases[0].freeze_body);
  EXPECT_EQ(options.phases[0].image_size, 96);
  EXPECT_EQ(options.phases[0].stage_lr_scales, (std::vector<double>{0.1, 0.2, 0.3, 0.4}));
  EXPECT_EQ(options.phases[0].head_lr_scale, 0.5);
  phase.set_freeze("layer5");
  EXPECT_THROW(ToTrainOptions(prepare, 3, 10), train::TrainError);
}

// scikit-learn 1.7: compute_class_weight("balanced", classes=[0, 1, 2], y=[0]*6 + [1]*3 + [2]).
TEST(TrainerOptions, BalancedClassWeightsEqualScikitLearns) {
  v1::TrainConfig config;
  EXPECT_TRUE(ClassWeightsOf(config, {6, 3, 1}).empty());
  config.set_class_weights("none");
  EXPECT_TRUE(ClassWeightsOf(config, {6, 3, 1}).empty());
  config.set_class_weights("balanced");
  const std::vector<double> weights = ClassWeightsOf(config, {6, 3, 1});
  ASSERT_EQ(weights.size(), 3u);
  EXPECT_NEAR(weights[0], 0.55555556, 1e-8);
  EXPECT_NEAR(weights[1], 1.11111111, 1e-8);
  EXPECT_NEAR(weights[2], 3.33333333, 1e-8);
  EXPECT_EQ(ClassWeightsOf(config, {5, 0, 5}), (std::vector<double>{1, 0, 1}));
  config.set_class_weights("some");
  EXPECT_THROW(ClassWeightsOf(config, {1}), train::TrainError);
}

TEST(TrainerOptions, DeterministicTrialsHaveFourVirtualRanksUnlessToldOtherwise) {
  v1::Prepare prepare = Prepare();
  prepare.mutable_config()->set_virtual_ranks(8);  // says nothing alone
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).virtual_ranks, 0);
  prepare.mutable_config()->set_deterministic(true);
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).virtual_ranks, 8);
  prepare.mutable_config()->clear_virtual_ranks();
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).virtual_ranks, 4);
}

TEST(TrainerOptions, GpusComputeInBfloat16) {
  v1::Prepare prepare = Prepare();
  prepare.set_device("cuda:1");
  const train::TrainOptions options = ToTrainOptions(prepare, 3, 10);
  EXPECT_EQ(options.precision, train::Precision::kBf16);
  EXPECT_EQ(options.device, "cuda:1");
}

TEST(TrainerOptions, PhasesAddUpToTheEpochs) {
  v1::Prepare prepare = Prepare();
  v1::Phase* frozen = prepare.mutable_config()->add_phases();
  frozen->set_epochs(2);
  frozen->set_freeze("body");
  v1::Phase* whole = prepare.mutable_config()->add_phases();
  whole->set_epochs(3);
  whole->add_lr_scale(0.1);
  whole->add_lr_scale(1);
  const train::TrainOptions options = ToTrainOptions(prepare, 3, 10);
  EXPECT_EQ(options.epochs, 5);
  ASSERT_EQ(options.phases.size(), 2u);
  EXPECT_TRUE(options.phases[0].freeze_body);
  EXPECT_EQ(options.phases[1].body_lr_scale, 0.1);
  whole->add_lr_scale(2);
  try {
    ToTrainOptions(prepare, 3, 10);
    FAIL() << "no error";
  } catch (const train::TrainError& error) {
    EXPECT_EQ(error.kind(), train::ErrorKind::kUserError);
    EXPECT_THAT(error.what(), HasSubstr("lr_scale needs two numbers, or five, got 3"));
  }
}

TEST(TrainerOptions, TheNodesCacheIsThatOfTheManifest) {
  v1::Prepare prepare = Prepare();
  EXPECT_TRUE(ToDecodedCache(prepare, "sha256:ab", nullptr).dir.empty());
  prepare.set_cache_dir("/cache");
  prepare.set_cache_limit_bytes(5);
  const data::DecodedCacheOptions cache = ToDecodedCache(prepare, "sha256:ab", nullptr);
  EXPECT_EQ(cache.dir, "/cache");
  EXPECT_EQ(cache.limit_bytes, 5u);
  EXPECT_EQ(cache.dataset_digest, "sha256:ab");
}

TEST(TrainerOptions, DivergenceIsTheUsersAndAPeerIsNot) {
  EXPECT_EQ(ToFailureKind(train::ErrorKind::kDiverged), v1::FAILURE_KIND_USER_ERROR);
  EXPECT_EQ(ToFailureKind(train::ErrorKind::kOutOfMemory), v1::FAILURE_KIND_OUT_OF_MEMORY);
  EXPECT_EQ(ToFailureKind(train::ErrorKind::kPeerLost), v1::FAILURE_KIND_INFRASTRUCTURE);
}

}  // namespace
}  // namespace mead::trainer
