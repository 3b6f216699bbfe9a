#include "worker/train/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

TrainOptions Good() {
  TrainOptions options;
  options.num_classes = 8;
  options.steps_per_epoch = 10;
  return options;
}

std::string Complaint(const TrainOptions& options) {
  try {
    Validate(options);
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUserError);
    return error.what();
  }
  return "";
}

TEST(TrainOptions, DefaultsWithClassesAndStepsAreValid) { EXPECT_EQ(Complaint(Good()), ""); }

TEST(TrainOptions, EveryProblemIsNamedAtOnce) {
  TrainOptions options = Good();
  options.num_classes = 1;
  options.optimizer.lr = std::numeric_limits<double>::quiet_NaN();
  options.label_smoothing = 0.9;
  options.phases = {{.epochs = 3}};
  const std::string complaint = Complaint(options);
  EXPECT_THAT(complaint, HasSubstr("num_classes is 1"));
  EXPECT_THAT(complaint, HasSubstr("optimizer.lr"));
  EXPECT_THAT(complaint, HasSubstr("label_smoothing"));
  EXPECT_THAT(complaint, HasSubstr("the phases have 3 epochs together and epochs is 10"));
}

TEST(TrainOptions, UnknownNamesListTheKnownOnes) {
  EXPECT_EQ(ScheduleFromName("one_cycle"), ScheduleKind::kOneCycle);
  EXPECT_EQ(OptimizerFromName("adamw"), OptimizerKind::kAdamW);
  EXPECT_EQ(PrecisionFromName("bf16"), Precision::kBf16);
  try {
    static_cast<void>(ScheduleFromName("linear"));
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_THAT(error.what(), HasSubstr("one_cycle, cosine, constant"));
  }
}

}  // namespace
}  // namespace mead::train
