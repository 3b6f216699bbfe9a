#include "coordinator/service/recipe_validation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "coordinator/service/spec_defaults.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;
using ::testing::UnorderedElementsAre;

// "field: message" of each violation, defaults filled in first.
std::vector<std::string> Judge(v1::TrainConfig config) {
  FillTrainDefaults(config, "any");
  Violations out;
  CheckRecipe(config, out);
  std::vector<std::string> lines;
  for (const v1::Violation& violation : out.Take()) {
    lines.push_back(absl::StrCat(violation.field(), ": ", violation.message()));
  }
  return lines;
}

v1::TrainConfig Config(const std::string& schedule, int epochs = 10) {
  v1::TrainConfig config;
  config.set_schedule(schedule);
  config.set_epochs(epochs);
  return config;
}

TEST(RecipeValidationTest, EverySchedulesKeysAreSound) {
  for (const char* schedule : {"one_cycle", "cosine", "constant", "plateau"}) {
    EXPECT_THAT(Judge(Config(schedule)), IsEmpty()) << schedule;
  }
  v1::TrainConfig step = Config("step");
  step.add_step_epochs(3);
  step.add_step_epochs(6);
  step.set_lr_gamma(0.5);
  step.set_warmup_epochs(0.5);
  EXPECT_THAT(Judge(step), IsEmpty());
  // What another schedule does not use may stand there, for sweeps that try several.
  step.set_schedule("cosine");
  step.set_patience(2);
  EXPECT_THAT(Judge(step), IsEmpty());
}

TEST(RecipeValidationTest, AScheduleSaysWhatItLacksAndWhatItCannotTake) {
  EXPECT_THAT(Judge(Config("linear")), ElementsAre(HasSubstr("'linear' is not one of")));
  EXPECT_THAT(Judge(Config("step")),
              ElementsAre(HasSubstr("needs the epochs after which the rate falls")));
  v1::TrainConfig config = Config("step");
  config.add_step_epochs(10);
  EXPECT_THAT(Judge(config), ElementsAre(HasSubstr("would fall after epoch 10, where the trial's "
                                                   "last is 10")));
  config.add_step_epochs(4);
  EXPECT_THAT(Judge(config), ElementsAre(HasSubstr("must rise, from 1 on; 4 comes after 10")));
  config = Config("one_cycle");
  config.set_warmup_epochs(1);
  EXPECT_THAT(Judge(config), ElementsAre(HasSubstr("is not for one_cycle")));
  config = Config("plateau");
  config.set_warmup_epochs(10);
  config.set_lr_gamma(1);
  config.set_patience(0);
  EXPECT_THAT(Judge(config),
              UnorderedElementsAre(AllOf(StartsWith("train.warmup_epochs:"), HasSubstr("below 10"),
                                         HasSubstr("not 10")),
                                   StartsWith("train.lr_gamma: must be above 0 and below 1, not 1"),
                                   StartsWith("train.patience: must be from 1")));
}

TEST(RecipeValidationTest, PhasesCountForThemselves) {
  v1::TrainConfig config;
  config.set_schedule("step");
  config.add_step_epochs(3);
  config.add_phases()->set_epochs(2);
  config.add_phases()->set_epochs(4);
  EXPECT_THAT(Judge(config), IsEmpty()) << "the second phase has a fourth epoch";
  config.set_warmup_epochs(2);
  EXPECT_THAT(Judge(config), ElementsAre(HasSubstr("the shortest phase")));
}

TEST(RecipeValidationTest, APhaseMayFreezeAndPaceStagesAndHaveItsOwnSize) {
  v1::TrainConfig config;
  v1::Phase& phase = *config.add_phases();
  phase.set_epochs(1);
  phase.set_image_size(128);
  for (const char* freeze : {"none", "body", "layer1", "layer2", "layer3", "layer4"}) {
    phase.set_freeze(freeze);
    EXPECT_THAT(Judge(config), IsEmpty()) << freeze;
  }
  for (const double factor : {0.01, 0.03, 0.1, 0.3, 1.0}) phase.add_lr_scale(factor);
  EXPECT_THAT(Judge(config), IsEmpty());
  phase.add_lr_scale(1);
  phase.set_freeze("layer5");
  phase.set_image_size(32);
  EXPECT_THAT(
      Judge(config),
      UnorderedElementsAre(
          AllOf(StartsWith("train.phases[0].lr_scale:"), HasSubstr("or five"), HasSubstr("not 6")),
          StartsWith("train.phases[0].freeze: 'layer5'"),
          StartsWith("train.phases[0].image_size: must be from 64 to 1024, not 32")));
}

TEST(RecipeValidationTest, ViewsStridesAndRecipesAreWords) {
  v1::TrainConfig config;
  config.set_test_time_augment("flips");
  config.set_stride("v1");
  config.set_defaults("kvasir");
  EXPECT_THAT(Judge(config), IsEmpty());
  config.set_test_time_augment("crops");
  config.set_stride("v2");
  config.set_defaults("kvasri");
  EXPECT_THAT(Judge(config), UnorderedElementsAre(StartsWith("train.test_time_augment: 'crops'"),
                                                  StartsWith("train.stride: 'v2'"),
                                                  HasSubstr("did you mean kvasir")));
}

TEST(RecipeValidationTest, ClassesAreTreatedInWaysThatThereAre) {
  v1::TrainConfig config;
  config.set_class_weights("balanced");
  config.set_sampling("balanced");
  EXPECT_THAT(Judge(config), IsEmpty());
  config.set_class_weights("inverse");
  config.set_sampling("al");
  EXPECT_THAT(Judge(config), UnorderedElementsAre(StartsWith("train.class_weights: 'inverse'"),
                                                  HasSubstr("did you mean all")));
}

TEST(RecipeValidationTest, EarlyStoppingNeedsPatience) {
  v1::TrainConfig config;
  config.mutable_early_stopping()->set_patience(3);
  EXPECT_THAT(Judge(config), IsEmpty());
  config.mutable_early_stopping()->set_patience(0);
  config.mutable_early_stopping()->set_min_delta(-1);
  EXPECT_THAT(Judge(config), UnorderedElementsAre(StartsWith("train.early_stopping.patience:"),
                                                  StartsWith("train.early_stopping.min_delta:")));
}

}  // namespace
}  // namespace mead::service
