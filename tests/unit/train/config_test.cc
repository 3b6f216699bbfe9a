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

TEST(TrainOptions, TheExtrasOfAStepHaveTheirLimits) {
  TrainOptions options = Good();
  options.optimizer = OptimizerDefaults(OptimizerKind::kLars);
  options.clip_grad_norm = 1;
  options.ema_decay = 0.999;
  options.micro_batch = 16;
  EXPECT_EQ(Complaint(options), "");
  options.virtual_ranks = 8;
  EXPECT_THAT(Complaint(options), HasSubstr("micro_batch cannot be set"));
  options.micro_batch = 0;
  EXPECT_EQ(Complaint(options), "");
  options.optimizer.trust_coefficient = 0;
  options.clip_grad_norm = -1;
  options.ema_decay = 1;
  options.micro_batch = -1;
  options.resident_bytes = -2;
  options.virtual_ranks = 6;
  options.device = "cuda:0";
  const std::string complaint = Complaint(options);
  EXPECT_THAT(complaint, HasSubstr("optimizer.trust_coefficient must be above 0"));
  EXPECT_THAT(complaint, HasSubstr("optimizer.clip_grad_norm must be 0"));
  EXPECT_THAT(complaint, HasSubstr("ema must be in [0, 1)"));
  EXPECT_THAT(complaint, HasSubstr("micro_batch is -1"));
  EXPECT_THAT(complaint, HasSubstr("resident_bytes is -2"));
  EXPECT_THAT(complaint, HasSubstr("virtual_ranks is 6 and must be a power of two"));
  EXPECT_THAT(complaint, HasSubstr("needs a CPU, not device cuda:0"));
}

TEST(TrainOptions, PicturesStayOnTheDeviceByTheirWord) {
  EXPECT_EQ(ResidentBytesFromName("auto"), kResidentAuto);
  EXPECT_EQ(ResidentBytesFromName("off"), 0);
  EXPECT_THROW(ResidentBytesFromName("on"), TrainError);
}

TEST(TrainOptions, RoundingBetweenRanksAndVirtualRanksExcludeEachOther) {
  TrainOptions options = Good();
  options.gradients_on_wire = Precision::kBf16;
  EXPECT_EQ(Complaint(options), "");
  options.virtual_ranks = 4;
  EXPECT_THAT(Complaint(options), HasSubstr("gradients_on_wire cannot be bf16 with virtual_ranks"));
}

TEST(TrainOptions, EveryOptimizerHasItsNameAndDefaults) {
  for (const char* name : {"sgd", "adamw", "lars", "lamb"}) {
    const OptimizerKind kind = OptimizerFromName(name);
    EXPECT_EQ(OptimizerName(kind), name);
    EXPECT_EQ(OptimizerDefaults(kind).kind, kind);
  }
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
