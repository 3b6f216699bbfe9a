#include "worker/train/optim/schedule.h"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace mead::train {
namespace {

double Factor(ScheduleKind kind, int64_t step, int64_t total) {
  TrainOptions options;
  options.schedule = kind;
  return LearningRateFactor(options, step, total);
}

// The expected values are PyTorch 2.11's, printed with 12 digits.
void ExpectFactors(ScheduleKind kind, int64_t total,
                   const std::vector<std::pair<int64_t, double>>& expected) {
  for (const auto& [step, factor] : expected) {
    EXPECT_NEAR(Factor(kind, step, total), factor, 1e-11) << "step " << step;
  }
}

TEST(Schedule, OneCycleEqualsPyTorchOneCycleLr) {
  ExpectFactors(ScheduleKind::kOneCycle, 10,
                {{0, 0.04},
                 {1, 0.52},
                 {2, 1},
                 {3, 0.950484632013},
                 {4, 0.81174565395},
                 {5, 0.611262021936},
                 {6, 0.388741978064},
                 {7, 0.18825834605},
                 {8, 0.0495193679865},
                 {9, 4e-06}});
  ExpectFactors(ScheduleKind::kOneCycle, 4,
                {{0, 0.04}, {1, 0.81174565395}, {2, 0.283060998209}, {3, 4e-06}});
  ExpectFactors(ScheduleKind::kOneCycle, 1000,
                {{0, 0.04},
                 {1, 0.0400264950422},
                 {150, 0.522521668123},
                 {298, 0.999973504958},
                 {299, 1},
                 {300, 0.999994964516},
                 {650, 0.497758021756},
                 {998, 9.03548385537e-06},
                 {999, 4e-06}});
}

TEST(Schedule, CosineEqualsPyTorchCosineAnnealingLr) {
  ExpectFactors(ScheduleKind::kCosine, 8,
                {{0, 1},
                 {1, 0.961939766256},
                 {2, 0.853553390593},
                 {3, 0.691341716183},
                 {4, 0.5},
                 {5, 0.308658283817},
                 {6, 0.146446609407},
                 {7, 0.0380602337444}});
}

TEST(Schedule, ConstantIsAlwaysThePeak) {
  ExpectFactors(ScheduleKind::kConstant, 5, {{0, 1}, {4, 1}});
}

// Here the corners; tests/interop compares every step with PyTorch's.
TEST(Schedule, WarmUpRisesInALineAndCosineTakesWhatItLeaves) {
  TrainOptions options;
  options.schedule = ScheduleKind::kCosine;
  options.steps_per_epoch = 4;
  options.warmup_epochs = 1.5;
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 0, 16), 0.01);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 3, 16), 0.505);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 6, 16), 1);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 11, 16), 0.5);
  // A phase that is all warm-up does not divide by nothing.
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 3, 4), 0.01 + 0.99 * 3 / 4);
  options.schedule = ScheduleKind::kConstant;
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 3, 16), 0.505);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 15, 16), 1);
}

TEST(Schedule, StepFallsAfterTheEpochsNamed) {
  TrainOptions options;
  options.schedule = ScheduleKind::kStep;
  options.steps_per_epoch = 4;
  options.step_epochs = {1, 3};
  options.lr_gamma = 0.5;
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 3, 20), 1);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 4, 20), 0.5);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 11, 20), 0.5);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 12, 20), 0.25);
}

TEST(Schedule, PlateauFallsAsOftenAsItIsTold) {
  TrainOptions options;
  options.schedule = ScheduleKind::kPlateau;
  options.lr_gamma = 0.2;
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 7, 20, /*cuts=*/0), 1);
  EXPECT_DOUBLE_EQ(LearningRateFactor(options, 7, 20, /*cuts=*/2), 0.2 * 0.2);
}

TEST(Schedule, RunsOfOneToThreeStepsStillReachThePeak) {
  for (int64_t total = 1; total <= 3; ++total) {
    EXPECT_EQ(Factor(ScheduleKind::kOneCycle, 0, total), 1) << total;
  }
}

TEST(Schedule, StepsBeyondTheEndKeepTheLastFactor) {
  for (const ScheduleKind kind :
       {ScheduleKind::kOneCycle, ScheduleKind::kCosine, ScheduleKind::kConstant}) {
    EXPECT_EQ(Factor(kind, 50, 10), Factor(kind, 9, 10));
  }
}

TEST(Schedule, EveryPhaseRunsTheScheduleFromItsBeginning) {
  TrainOptions options;
  options.steps_per_epoch = 7;
  options.epochs = 5;
  options.phases = {{.epochs = 2, .freeze_body = true}, {.epochs = 3, .body_lr_scale = 0.1}};
  EXPECT_TRUE(PhaseOfEpoch(options, 2).phase.freeze_body);
  EXPECT_EQ(PhaseOfEpoch(options, 2).first_step, 0);
  EXPECT_EQ(PhaseOfEpoch(options, 2).steps, 14);
  for (const int epoch : {3, 5, 6}) {
    const PhaseSpan span = PhaseOfEpoch(options, epoch);
    EXPECT_EQ(span.index, 1);
    EXPECT_EQ(span.first_step, 14);
    EXPECT_EQ(span.steps, 21);
    EXPECT_EQ(span.phase.body_lr_scale, 0.1);
  }
}

TEST(Schedule, WithoutPhasesTheWholeRunIsOne) {
  TrainOptions options;
  options.steps_per_epoch = 7;
  options.epochs = 5;
  EXPECT_EQ(PhaseOfEpoch(options, 4).steps, 35);
  EXPECT_EQ(PhaseOfEpoch(options, 4).first_step, 0);
}

}  // namespace
}  // namespace mead::train
