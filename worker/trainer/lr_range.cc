#include "worker/trainer/lr_range.h"

#include "absl/strings/str_format.h"
#include "worker/train/errors.h"

namespace mead::trainer {

RangeTestOptions ToRangeTestOptions(const v1::LrRange& range) {
  RangeTestOptions options{.steps = range.has_steps() ? range.steps() : kRangeTestSteps};
  if (range.has_min_lr()) options.min_lr = range.min_lr();
  if (range.has_max_lr()) options.max_lr = range.max_lr();
  return options;
}

RangeTest RunRangeTest(
    train::TrainingSession& session, const RangeTestOptions& options,
    const std::function<void()>& begin_step,
    const std::function<void(const RangeTest&, const train::StepResult&)>& after_step) {
  RangeTest test(options);
  while (!test.ended()) {
    begin_step();
    try {
      for (const train::StepResult& result : session.FinishedSteps(/*wait=*/true)) {
        test.Add(result.loss);
        after_step(test, result);
      }
    } catch (const train::TrainError& error) {
      if (error.kind() != train::ErrorKind::kDiverged) throw;
      test.Diverged();
    }
  }
  return test;
}

v1::AttachRequest RangeTestReport(const RangeTest& test) {
  v1::AttachRequest message;
  for (const RangeTestPoint& point : test.points()) {
    v1::LrRangePoint& out = *message.mutable_lr_range()->add_points();
    out.set_lr(point.lr);
    out.set_loss(point.loss);
    out.set_smoothed_loss(point.smoothed_loss);
  }
  return message;
}

std::string RangeTestWords(const RangeTest& test) {
  const auto done = static_cast<int64_t>(test.points().size());
  const int steps = test.options().steps;
  const auto at = [&](const char* what, int64_t step) {
    return absl::StrFormat("%s at step %d of %d, learning rate %.2g", what, step, steps,
                           RangeTestRate(test.options(), step - 1));
  };
  switch (test.state()) {
    case RangeTest::State::kUnderWay:
      break;
    case RangeTest::State::kAllSteps:
      return absl::StrFormat("all %d steps, up to a learning rate of %.2g", steps,
                             test.options().max_lr);
    case RangeTest::State::kRose:
      return at("the smoothed loss rose above 4 times its smallest", done);
    case RangeTest::State::kDiverged:
      return at("the loss or a gradient was no longer finite", done + 1);
  }
  return absl::StrFormat("%d of %d steps", done, steps);
}

}  // namespace mead::trainer
