#include "worker/trainer/lr_range.h"

#include <gtest/gtest.h>

#include "tests/unit/train/session_problem.h"
#include "worker/trainer/options.h"

namespace mead::trainer {
namespace {

using train::TrainingSession;

train::TrainOptions OptionsOf(const RangeTestOptions& range) {
  train::TrainOptions options = train::Options();
  options.range_test = range;
  return options;
}

RangeTest RunOn(TrainingSession& session, const RangeTestOptions& range,
                std::vector<double>* rates = nullptr) {
  uint64_t step = 0;
  return RunRangeTest(
      session, range,
      [&] {
        const train::Pictures batch = train::MakePictures(8, 3, step++);
        session.StartStep(batch.pixels.data(), batch.labels.data(), 8, 8);
      },
      [&](const RangeTest&, const train::StepResult& result) {
        if (rates != nullptr) rates->push_back(result.learning_rate);
      });
}

TEST(RangeTestRun, StepsHaveTheTestsRatesWithTheGroupsScale) {
  const RangeTestOptions range = {.min_lr = 1e-4, .max_lr = 1e-2, .steps = 5};
  train::TrainOptions options = OptionsOf(range);
  options.phases = {{.epochs = 1, .body_lr_scale = 0.1, .head_lr_scale = 2},
                    {.epochs = 2, .freeze_body = true}};
  TrainingSession session(options, train::Alone());
  std::vector<double> rates;
  const RangeTest test = RunOn(session, range, &rates);
  EXPECT_EQ(test.state(), RangeTest::State::kAllSteps);
  ASSERT_EQ(rates.size(), 5u);
  for (size_t i = 0; i < 5; ++i) {
    EXPECT_NEAR(rates[i] / (2 * RangeTestRate(range, static_cast<int64_t>(i))), 1, 1e-12) << i;
    EXPECT_EQ(test.points()[i].lr, RangeTestRate(range, static_cast<int64_t>(i)));
  }
  EXPECT_EQ(RangeTestWords(test), "all 5 steps, up to a learning rate of 0.01");
}

// The rate is what moves the weights: the second loss is that after a step of the first rate.
TEST(RangeTestRun, TheRatesMoveTheWeights) {
  const RangeTestOptions range = {.min_lr = 0.005, .max_lr = 0.5, .steps = 2};
  TrainingSession session(OptionsOf(range), train::Alone());
  const RangeTest test = RunOn(session, range);
  train::TrainOptions constant = train::Options();
  constant.schedule = train::ScheduleKind::kConstant;
  constant.optimizer.lr = 0.005;
  TrainingSession other(constant, train::Alone());
  for (uint64_t step = 0; step < 2; ++step) {
    const train::Pictures batch = train::MakePictures(8, 3, step);
    const double loss = other.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8).loss;
    EXPECT_NEAR(test.points()[step].loss, loss, 1e-6) << step;
  }
}

TEST(RangeTestRun, ADivergenceIsAnEndLikeAnyOther) {
  const RangeTestOptions range = {.min_lr = 1e20, .max_lr = 1e30, .steps = 20};
  TrainingSession session(OptionsOf(range), train::Alone());
  const RangeTest test = RunOn(session, range);
  EXPECT_EQ(test.state(), RangeTest::State::kDiverged);
  ASSERT_GE(test.points().size(), 1u);
  EXPECT_LT(test.points().size(), 20u);
  const v1::AttachRequest report = RangeTestReport(test);
  EXPECT_EQ(report.lr_range().points_size(), static_cast<int>(test.points().size()));
  EXPECT_EQ(report.lr_range().points(0).loss(), test.points()[0].loss);
  EXPECT_EQ(report.lr_range().points(0).lr(), 1e20);
}

TEST(RangeTestWords, SayWhereItEnded) {
  RangeTest test({.min_lr = 1e-3, .max_lr = 10, .steps = 5});
  test.Add(1);
  test.Add(100);
  EXPECT_EQ(RangeTestWords(test),
            "the smoothed loss rose above 4 times its smallest at step 2 of 5, learning rate 0.01");
  RangeTest other({.min_lr = 1e-3, .max_lr = 10, .steps = 5});
  other.Add(1);
  other.Diverged();
  EXPECT_EQ(RangeTestWords(other),
            "the loss or a gradient was no longer finite at step 2 of 5, learning rate 0.01");
}

TEST(TrainerOptions, ARangeTestIsOneWhereTheKeyIs) {
  v1::Prepare prepare;
  prepare.set_device("cpu");
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).range_test.steps, 0);
  v1::LrRange& range = *prepare.mutable_config()->mutable_lr_range();
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).range_test.steps, 100);
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).range_test.min_lr, 1e-7);
  EXPECT_EQ(ToTrainOptions(prepare, 3, 10).range_test.max_lr, 10);
  range.set_min_lr(1e-5);
  range.set_max_lr(1);
  range.set_steps(30);
  const RangeTestOptions options = ToTrainOptions(prepare, 3, 10).range_test;
  EXPECT_EQ(options.min_lr, 1e-5);
  EXPECT_EQ(options.max_lr, 1);
  EXPECT_EQ(options.steps, 30);
}

}  // namespace
}  // namespace mead::trainer
