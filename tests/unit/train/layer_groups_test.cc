#include "worker/train/optim/layer_groups.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace mead::train {
namespace {

using ::testing::ElementsAre;

TEST(LayerGroups, AreBodyAndHeadUnlessAPhaseTellsStagesApart) {
  TrainOptions options;
  options.phases = {{.epochs = 1}, {.epochs = 1, .body_lr_scale = 0.1}};
  EXPECT_THAT(GroupNames(options), ElementsAre("body", "head"));
  EXPECT_EQ(GroupOf(options, "layer3.0.conv1.weight"), 0u);
  EXPECT_EQ(GroupOf(options, "fc.bias"), 1u);
  EXPECT_THAT(RateFactors(options, options.phases[1]), ElementsAre(0.1, 1));
  // In every phase, then: the optimizer's state is named after the groups.
  options.phases[1].frozen_stages = 2;
  EXPECT_THAT(GroupNames(options), ElementsAre("layer1", "layer2", "layer3", "layer4", "head"));
  EXPECT_EQ(GroupOf(options, "conv1.weight"), 0u);
  EXPECT_EQ(GroupOf(options, "bn1.bias"), 0u);
  EXPECT_EQ(GroupOf(options, "layer1.0.conv1.weight"), 0u);
  EXPECT_EQ(GroupOf(options, "layer4.2.bn3.weight"), 3u);
  EXPECT_EQ(GroupOf(options, "fc.weight"), 4u);
  EXPECT_THAT(RateFactors(options, options.phases[1]), ElementsAre(0.1, 0.1, 0.1, 0.1, 1));
  options.phases[1].stage_lr_scales = {1, 2, 3, 4};
  options.phases[1].head_lr_scale = 5;
  EXPECT_THAT(RateFactors(options, options.phases[1]), ElementsAre(1, 2, 3, 4, 5));
}

// One of them may learn where the others stand still, and then counts steps of its own.
TEST(LayerGroups, AFrozenBodyIsOfStages) {
  TrainOptions options;
  options.phases = {{.epochs = 1, .freeze_body = true}, {.epochs = 1}};
  EXPECT_THAT(GroupNames(options), ElementsAre("layer1", "layer2", "layer3", "layer4", "head"));
}

TEST(LayerGroups, AStageThatNoFileHeldWholeIsNotFrozen) {
  const std::vector<std::string> parameters = {"conv1.weight", "layer2.0.conv1.weight",
                                               "layer4.0.conv1.weight", "layer4.0.bn1.bias",
                                               "fc.weight"};
  const StageSet lacking =
      StagesLacking(parameters, {"conv1.weight", "layer4.0.conv1.weight", "layer2.0.conv1.weight"});
  EXPECT_THAT(StageNames(lacking), ElementsAre("layer4"));
  EXPECT_TRUE(StagesLacking(parameters, parameters).none());
  const Phase body{.freeze_body = true};
  EXPECT_TRUE(LearnsIn(body, "layer4.0.conv1.weight", lacking));
  EXPECT_FALSE(LearnsIn(body, "layer2.0.conv1.weight", lacking));
}

TEST(LayerGroups, StagesGoThroughTextAndBack) {
  const StageSet stages = StagesIn("layer1,layer9,layer4");
  EXPECT_THAT(StageNames(stages), ElementsAre("layer1", "layer4"));
  EXPECT_EQ(StagesIn(StagesText(stages)), stages);
  EXPECT_EQ(StagesText({}), "");
  EXPECT_TRUE(StagesIn("").none());
}

TEST(LayerGroups, FrozenAreThoseOfAnyPhase) {
  TrainOptions options;
  EXPECT_TRUE(StagesFrozen(options).none());
  options.phases = {{.epochs = 1}, {.epochs = 1, .frozen_stages = 2}};
  EXPECT_THAT(StageNames(StagesFrozen(options)), ElementsAre("layer1", "layer2"));
  options.phases[0].freeze_body = true;
  EXPECT_TRUE(StagesFrozen(options).all());
}

TEST(LayerGroups, WhatAPhaseFreezesDoesNotLearn) {
  const Phase layer2{.frozen_stages = 2};
  EXPECT_FALSE(LearnsIn(layer2, "conv1.weight"));
  EXPECT_FALSE(LearnsIn(layer2, "layer2.3.bn3.bias"));
  EXPECT_TRUE(LearnsIn(layer2, "layer3.0.downsample.0.weight"));
  EXPECT_TRUE(LearnsIn(layer2, "fc.weight"));
  const Phase body{.freeze_body = true};
  EXPECT_FALSE(LearnsIn(body, "layer4.0.conv1.weight"));
  EXPECT_TRUE(LearnsIn(body, "fc.weight"));
  EXPECT_TRUE(LearnsIn({}, "conv1.weight"));
}

}  // namespace
}  // namespace mead::train
