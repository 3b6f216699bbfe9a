#include "coordinator/service/spec_validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/grpc_status.h"
#include "coordinator/service/spec_defaults.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

v1::SweepSpec ValidSpec() {
  v1::SweepSpec spec;
  spec.set_name("a");
  spec.set_dataset("set");
  spec.mutable_search()->set_trials(4);
  return spec;
}

v1::Dimension& AddDimension(v1::SweepSpec& spec, const char* path) {
  v1::Dimension& dimension = *spec.add_space();
  dimension.set_path(path);
  return dimension;
}

// "field: message" of each violation, defaults filled in first.
std::vector<std::string> Judge(v1::SweepSpec spec, const v1::Dataset* dataset = nullptr) {
  FillDefaults(spec);
  std::vector<std::string> lines;
  for (const v1::Violation& violation : ValidateSpec(spec, dataset)) {
    lines.push_back(absl::StrCat(violation.field(), ": ", violation.message()));
  }
  return lines;
}

TEST(SpecValidationTest, AValidSpecHasNoViolations) {
  v1::SweepSpec spec = ValidSpec();
  v1::FloatRange& lr = *AddDimension(spec, "optimizer.lr").mutable_log_uniform();
  lr.set_low(1e-4);
  lr.set_high(1e-1);
  v1::IntRange& batch = *AddDimension(spec, "batch_size").mutable_int_();
  batch.set_low(32);
  batch.set_high(128);
  batch.set_step(32);
  AddDimension(spec, "augment.flip").mutable_choice()->add_values()->set_text("both");
  EXPECT_THAT(Judge(spec), IsEmpty());
}

TEST(SpecValidationTest, EverythingWrongIsSaidAtOnce) {
  v1::SweepSpec spec;
  spec.set_name("no spaces allowed");
  spec.mutable_objective()->set_goal("biggest");
  spec.mutable_search()->set_trials(-1);
  spec.mutable_resources()->set_ranks(-2);
  spec.mutable_retry()->set_infrastructure(-5);
  spec.mutable_train()->set_image_size(8);
  spec.mutable_train()->mutable_optimizer()->set_lr(-1);
  EXPECT_THAT(Judge(spec),
              UnorderedElementsAre(StartsWith("name:"), StartsWith("dataset:"),
                                   StartsWith("objective.goal:"), StartsWith("search.trials:"),
                                   StartsWith("resources.ranks:"),
                                   StartsWith("retry.infrastructure:"),
                                   StartsWith("train.image_size: must be from 64 to 1024, not 8"),
                                   StartsWith("train.optimizer.lr:")));
}

TEST(SpecValidationTest, UnknownWordsNameNearOnesAndPlannedOnesWhatWorks) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_train()->set_model("resnet43");
  spec.mutable_search()->set_method("tpe");
  spec.mutable_stopper()->set_method("asha");
  EXPECT_THAT(Judge(spec),
              UnorderedElementsAre(
                  AllOf(StartsWith("train.model:"), HasSubstr("did you mean resnet")),
                  "search.method: 'tpe' is not available in this version; use grid or random",
                  "stopper.method: 'asha' is not available in this version; use none"));
}

TEST(SpecValidationTest, TheObjectiveMustBeReportedAndItsClassMustExist) {
  v1::Dataset set;
  set.add_classes()->set_name("polyps");
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_objective()->set_metric("val/acuracy");
  EXPECT_THAT(Judge(spec, &set), ElementsAre(HasSubstr("did you mean val/accuracy")));
  spec.mutable_objective()->set_metric("val/recall/polyps");
  EXPECT_THAT(Judge(spec, &set), IsEmpty());
  spec.mutable_objective()->set_metric("val/recall/polyp");
  EXPECT_THAT(Judge(spec, &set), ElementsAre(HasSubstr("did you mean val/recall/polyps")));
}

TEST(SpecValidationTest, EmptyRangesAndUnknownPathsAreViolations) {
  v1::SweepSpec spec = ValidSpec();
  v1::FloatRange& lr = *AddDimension(spec, "optimizer.lr").mutable_uniform();
  lr.set_low(0.1);
  lr.set_high(0.01);
  AddDimension(spec, "augment.cutout").mutable_choice()->add_values()->set_number(0.1);
  AddDimension(spec, "batch_size").mutable_choice();
  AddDimension(spec, "seed");
  EXPECT_THAT(
      Judge(spec),
      UnorderedElementsAre(
          AllOf(StartsWith("space.optimizer.lr:"), HasSubstr("[0.1, 0.01] is empty")),
          AllOf(StartsWith("space.augment.cutout:"), HasSubstr("nothing that a sweep can vary")),
          AllOf(StartsWith("space.batch_size:"), HasSubstr("the choice is empty")),
          AllOf(StartsWith("space.seed:"), HasSubstr("uniform, log_uniform, int or choice"))));
}

TEST(SpecValidationTest, ASearchedValueObeysTheLimitsOfItsField) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_resources()->set_ranks(2);
  v1::IntRange& batch = *AddDimension(spec, "batch_size").mutable_int_();
  batch.set_low(1);
  batch.set_high(128);
  v1::Choice& model = *AddDimension(spec, "model").mutable_choice();
  model.add_values()->set_text("resnet18");
  model.add_values()->set_text("vgg16");
  v1::FloatRange& size = *AddDimension(spec, "image_size").mutable_uniform();
  size.set_low(100);
  size.set_high(200);
  EXPECT_THAT(Judge(spec),
              UnorderedElementsAre(
                  AllOf(StartsWith("space.batch_size:"), HasSubstr("shared by 2 ranks")),
                  AllOf(StartsWith("space.model:"), HasSubstr("'vgg16' is not one of")),
                  AllOf(StartsWith("space.image_size:"), HasSubstr("use int or choice"))));
}

TEST(SpecValidationTest, AGridNeedsStepsAndAnEnd) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_search()->set_method("grid");
  spec.mutable_search()->set_trials(0);
  v1::FloatRange& decay = *AddDimension(spec, "optimizer.weight_decay").mutable_uniform();
  decay.set_high(1);
  EXPECT_THAT(Judge(spec), ElementsAre(HasSubstr("without a step")));
  decay.set_step(0.1);
  EXPECT_THAT(Judge(spec), IsEmpty());
  FillDefaults(spec);
  EXPECT_EQ(GridPoints(spec), 11);
  decay.set_step(1e-6);
  EXPECT_THAT(Judge(spec), ElementsAre(HasSubstr("more than 10000 points")));
}

TEST(SpecValidationTest, NumbersThatAreNoneAreRefused) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_train()->mutable_optimizer()->set_lr(std::numeric_limits<double>::quiet_NaN());
  v1::FloatRange& smoothing = *AddDimension(spec, "label_smoothing").mutable_uniform();
  smoothing.set_high(std::numeric_limits<double>::infinity());
  EXPECT_THAT(Judge(spec), UnorderedElementsAre(StartsWith("train.optimizer.lr:"),
                                                HasSubstr("must be finite")));
}

TEST(SpecValidationTest, PhasesAndEpochsMustAgree) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_train()->set_epochs(5);
  v1::Phase& phase = *spec.mutable_train()->add_phases();
  phase.set_epochs(4);
  phase.set_freeze("head");
  phase.add_lr_scale(1);
  EXPECT_THAT(Judge(spec), UnorderedElementsAre(HasSubstr("leave epochs out"),
                                                StartsWith("train.phases[0].freeze:"),
                                                StartsWith("train.phases[0].lr_scale:")));
}

TEST(SpecValidationTest, TheExtrasOfAStepHaveTheirLimits) {
  v1::SweepSpec spec = ValidSpec();
  v1::TrainConfig& train = *spec.mutable_train();
  v1::OptimizerConfig& optimizer = *train.mutable_optimizer();
  optimizer.set_name("lars");
  optimizer.set_trust_coefficient(0.02);
  optimizer.set_clip_grad_norm(1);
  train.set_ema(0.999);
  train.set_micro_batch(16);
  train.set_freeze_batch_norm(true);
  train.set_resident("off");
  EXPECT_THAT(Judge(spec), IsEmpty());
  optimizer.set_name("lasr");
  optimizer.set_trust_coefficient(0);
  optimizer.set_clip_grad_norm(-1);
  train.set_ema(1);
  train.set_micro_batch(-1);
  train.set_resident("on");
  EXPECT_THAT(
      Judge(spec),
      UnorderedElementsAre(
          AllOf(StartsWith("train.optimizer.name: 'lasr'"), HasSubstr("did you mean lars")),
          "train.optimizer.trust_coefficient: must be above 0 and at most 1, not 0",
          StartsWith("train.optimizer.clip_grad_norm: must be from 0"),
          "train.ema: is a decay from 0 (no average) to below 1, not 1",
          StartsWith("train.micro_batch: must be from 0"),
          StartsWith("train.resident: 'on' is not")));
}

TEST(SpecValidationTest, DeterministicTrialsNeedCpusAndEvenShares) {
  v1::SweepSpec spec = ValidSpec();
  v1::TrainConfig& train = *spec.mutable_train();
  train.set_virtual_ranks(4);
  EXPECT_THAT(Judge(spec), ElementsAre("train.virtual_ranks: is for deterministic trials; set "
                                       "deterministic: true, or leave it out"));
  train.set_deterministic(true);
  EXPECT_THAT(Judge(spec), ElementsAre(AllOf(StartsWith("train.deterministic:"),
                                             HasSubstr("accelerator: cpu, not any"))));
  spec.mutable_resources()->set_accelerator("cpu");
  EXPECT_THAT(Judge(spec), IsEmpty());
  train.set_micro_batch(8);
  EXPECT_THAT(Judge(spec), ElementsAre(StartsWith("train.micro_batch: cannot be set for")));
  train.clear_micro_batch();
  spec.mutable_resources()->set_ranks(3);
  EXPECT_THAT(Judge(spec), ElementsAre(StartsWith(
                               "train.virtual_ranks: 4 cannot be shared evenly by the 3 ranks")));
  spec.mutable_resources()->set_ranks(2);
  for (const int pieces : {0, 6, 128}) {
    train.set_virtual_ranks(pieces);
    EXPECT_THAT(Judge(spec), ElementsAre(HasSubstr("a power of two from 1 to 64")));
  }
  train.clear_virtual_ranks();
  spec.mutable_resources()->set_ranks(8);
  EXPECT_THAT(Judge(spec), ElementsAre(HasSubstr("must be a multiple of them")));
}

TEST(SpecValidationTest, CheckpointsHaveLimitsAndOneOfEachKindIsKept) {
  v1::SweepSpec spec = ValidSpec();
  v1::CheckpointConfig& checkpoint = *spec.mutable_train()->mutable_checkpoint();
  checkpoint.set_every_minutes(0);
  checkpoint.set_every_steps(100);
  checkpoint.set_keep_latest(2);
  EXPECT_THAT(Judge(spec), IsEmpty());
  checkpoint.set_every_minutes(-0.5);
  checkpoint.set_every_steps(-1);
  checkpoint.set_keep_best(0);
  checkpoint.set_keep_latest(1001);
  EXPECT_THAT(Judge(spec),
              ElementsAre("train.checkpoint.every_steps: must be from 0 to 1000000, not -1",
                          "train.checkpoint.every_minutes: must be from 0 to 10000, not -0.5",
                          "train.checkpoint.keep_best: must be from 1 to 1000, not 0",
                          "train.checkpoint.keep_latest: must be from 1 to 1000, not 1001"));
}

TEST(SpecValidationTest, FoldsAreTwoToTwentyAndTheCoordinatorsToSet) {
  v1::SweepSpec spec = ValidSpec();
  EXPECT_EQ(spec.search().folds(), 0);
  for (const int folds : {2, 20}) {
    spec.mutable_search()->set_folds(folds);
    EXPECT_THAT(Judge(spec), IsEmpty());
  }
  for (const int folds : {-3, 1, 21}) {
    spec.mutable_search()->set_folds(folds);
    EXPECT_THAT(Judge(spec),
                ElementsAre(absl::StrCat("search.folds: must be from 2 to 20, not ", folds)));
  }
  spec.mutable_search()->set_folds(0);
  spec.mutable_search()->set_fold_seed(1);
  spec.mutable_train()->mutable_fold()->set_index(1);
  EXPECT_THAT(Judge(spec),
              ElementsAre("train.fold: is set by the coordinator; search.folds asks for folds",
                          AllOf(StartsWith("search.fold_seed: "), HasSubstr("asks for none"))));
}

TEST(SpecValidationTest, FoldsMultiplyTheTrials) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_search()->set_folds(20);
  spec.mutable_search()->set_trials(500);
  EXPECT_THAT(Judge(spec), IsEmpty());
  spec.mutable_search()->set_trials(501);
  EXPECT_THAT(Judge(spec), ElementsAre("search.folds: 20 folds of 501 configurations are more "
                                       "than 10000 trials"));
  spec.mutable_search()->set_method("grid");
  spec.mutable_search()->set_trials(0);
  v1::IntRange& range = *AddDimension(spec, "seed").mutable_int_();
  range.set_high(500);
  EXPECT_THAT(Judge(spec), ElementsAre(HasSubstr("the grid has more than 500 points")));
}

TEST(SpecValidationTest, AStopperThatEndsTrialsGoesNotWithFolds) {
  v1::SweepSpec spec = ValidSpec();
  spec.mutable_search()->set_folds(5);
  spec.mutable_stopper()->set_method("asha");
  EXPECT_THAT(Judge(spec),
              Contains(AllOf(StartsWith("search.folds: "), HasSubstr("stopper.method: asha"))));
}

TEST(SpecValidationTest, GradientsTravelInOneOfTwoTypesAndDeterministicTrialsInOne) {
  v1::SweepSpec spec = ValidSpec();
  v1::TrainConfig& train = *spec.mutable_train();
  train.set_gradients_on_wire("bf16");
  EXPECT_THAT(Judge(spec), IsEmpty());
  train.set_gradients_on_wire("fp16");
  EXPECT_THAT(Judge(spec), ElementsAre(AllOf(StartsWith("train.gradients_on_wire: 'fp16'"),
                                             HasSubstr("bf16"))));
  train.set_gradients_on_wire("bf16");
  train.set_deterministic(true);
  spec.mutable_resources()->set_accelerator("cpu");
  EXPECT_THAT(Judge(spec),
              ElementsAre(AllOf(StartsWith("train.gradients_on_wire: cannot be bf16 for "
                                           "deterministic trials"),
                                HasSubstr("virtual_ranks"))));
}

TEST(SpecValidationTest, AugmentationHasItsLimitsAndCanBeSearched) {
  v1::SweepSpec spec = ValidSpec();
  v1::AugmentConfig& augment = *spec.mutable_train()->mutable_augment();
  augment.set_erasing(0.25);
  v1::FloatRange& erasing = *AddDimension(spec, "augment.erasing").mutable_uniform();
  erasing.set_high(0.5);
  EXPECT_THAT(Judge(spec), IsEmpty());
  augment.set_mixup(0.2);
  augment.set_cutmix(1);
  augment.set_position_box("crop");
  v1::FloatRange& mixup = *AddDimension(spec, "augment.mixup").mutable_uniform();
  mixup.set_high(0.4);
  EXPECT_THAT(Judge(spec), IsEmpty());
  augment.set_erasing(1.5);
  augment.set_mixup(-0.5);
  augment.set_cutmix(1000);
  augment.set_position_box("cut");
  erasing.set_high(2);
  mixup.set_low(-1);
  EXPECT_THAT(
      Judge(spec),
      UnorderedElementsAre(
          "train.augment.erasing: must be from 0 to 1, not 1.5",
          "train.augment.mixup: must be from 0 to 100, not -0.5",
          "train.augment.cutmix: must be from 0 to 100, not 1000",
          "train.augment.position_box: 'cut' is not one of keep, mask, crop",
          "space.augment.erasing: must be from 0 to 1, not 2",
          "space.augment.mixup: must be from 0 to 100, not -1"));
}

TEST(SpecValidationTest, TheErrorCarriesTheReport) {
  v1::Violation violation;
  violation.set_field("train.batch_size");
  violation.set_message("is odd");
  const absl::Status status = ViolationsError({violation});
  const grpc::Status wire = ToGrpc(status);
  v1::ValidationReport report;
  ASSERT_TRUE(report.ParseFromString(wire.error_details()));
  ASSERT_EQ(report.violations_size(), 1);
  EXPECT_EQ(report.violations(0).field(), "train.batch_size");
  EXPECT_EQ(wire.error_message(), "the sweep has 1 error: train.batch_size: is odd");
}

TEST(SpecValidationTest, ARangeTestHasAnAscendingRangeAndNoOtherRates) {
  v1::SweepSpec spec = ValidSpec();
  v1::LrRange& range = *spec.mutable_train()->mutable_lr_range();
  EXPECT_THAT(Judge(spec), IsEmpty()) << "defaults";
  range.set_min_lr(1e-3);
  range.set_max_lr(1e-2);
  range.set_steps(1000);
  EXPECT_THAT(Judge(spec), IsEmpty());
  range.set_min_lr(1e-2);
  range.set_steps(9);
  v1::Choice& choice = *AddDimension(spec, "optimizer.lr").mutable_choice();
  choice.add_values()->set_number(0.1);
  AddDimension(spec, "lr_range.steps").mutable_choice()->add_values()->set_integer(20);
  EXPECT_THAT(
      Judge(spec),
      ElementsAre("train.lr_range.min_lr: must be from 1e-12 to below max_lr, 0.01, not 0.01",
                  "train.lr_range.steps: must be from 10 to 1000, not 9",
                  "space.optimizer.lr: a range test goes through the rates itself; leave one of "
                  "the two out",
                  "space.lr_range.steps: lr_range.steps is the same for every trial: set it under "
                  "train, not under space"));
  spec.clear_space();
  range.set_steps(10);
  range.set_max_lr(101);
  range.set_min_lr(std::numeric_limits<double>::quiet_NaN());
  EXPECT_THAT(Judge(spec),
              ElementsAre("train.lr_range.max_lr: must be above 0 and at most 100, not 101",
                          "train.lr_range.min_lr: must be from 1e-12 to below max_lr, 101, not "
                          "nan"));
}

}  // namespace
}  // namespace mead::service
