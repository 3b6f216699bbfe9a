#include "coordinator/service/spec_defaults.h"

#include <gtest/gtest.h>

namespace mead::service {
namespace {

TEST(SpecDefaultsTest, AnEmptySpecGetsTheDocumentedDefaults) {
  v1::SweepSpec spec;
  FillDefaults(spec);
  EXPECT_EQ(spec.objective().metric(), "val/accuracy");
  EXPECT_EQ(spec.objective().goal(), "maximize");
  EXPECT_EQ(spec.search().method(), "random");
  EXPECT_EQ(spec.search().trials(), 1) << "without a space there is one configuration";
  EXPECT_EQ(spec.resources().ranks(), 1);
  EXPECT_EQ(spec.resources().accelerator(), "any");
  EXPECT_EQ(spec.retry().out_of_memory(), 1);
  EXPECT_EQ(spec.retry().infrastructure(), 10);
  const v1::TrainConfig& train = spec.train();
  EXPECT_EQ(train.model(), "resnet50");
  EXPECT_EQ(train.image_size(), 224);
  EXPECT_EQ(train.batch_size(), 64);
  EXPECT_EQ(train.epochs(), 10);
  EXPECT_EQ(train.schedule(), "one_cycle");
  EXPECT_EQ(train.optimizer().name(), "sgd");
  EXPECT_DOUBLE_EQ(train.optimizer().lr(), 0.01);
  EXPECT_DOUBLE_EQ(train.optimizer().momentum(), 0.9);
  EXPECT_TRUE(train.optimizer().nesterov());
  EXPECT_EQ(train.augment().flip(), "horizontal");
  EXPECT_TRUE(train.augment().has_erasing());
  EXPECT_EQ(train.augment().erasing(), 0);
  EXPECT_EQ(train.augment().mixup(), 0);
  EXPECT_EQ(train.augment().cutmix(), 0);
  EXPECT_EQ(train.augment().position_box(), "keep");
  EXPECT_EQ(train.gradients_on_wire(), "fp32");
  EXPECT_EQ(train.checkpoint().every_steps(), 0);
  EXPECT_EQ(train.checkpoint().every_minutes(), 5);
  EXPECT_EQ(train.checkpoint().keep_best(), 1);
  EXPECT_EQ(train.checkpoint().keep_latest(), 1);
  EXPECT_FALSE(train.has_precision()) << "depends on the machine";
}

TEST(SpecDefaultsTest, EachOptimizerHasItsOwn) {
  v1::TrainConfig lars, lamb;
  lars.mutable_optimizer()->set_name("lars");
  lamb.mutable_optimizer()->set_name("lamb");
  FillTrainDefaults(lars, "any");
  FillTrainDefaults(lamb, "any");
  EXPECT_DOUBLE_EQ(lars.optimizer().lr(), 0.1);
  EXPECT_DOUBLE_EQ(lars.optimizer().weight_decay(), 1e-4);
  EXPECT_DOUBLE_EQ(lars.optimizer().momentum(), 0.9);
  EXPECT_FALSE(lars.optimizer().nesterov());
  EXPECT_DOUBLE_EQ(lars.optimizer().trust_coefficient(), 0.001);
  EXPECT_DOUBLE_EQ(lamb.optimizer().lr(), 0.001);
  EXPECT_DOUBLE_EQ(lamb.optimizer().weight_decay(), 0.01);
  EXPECT_DOUBLE_EQ(lamb.optimizer().beta2(), 0.999);
  EXPECT_FALSE(lamb.optimizer().has_momentum());
}

TEST(SpecDefaultsTest, DeterministicTrialsAreCutIntoFour) {
  v1::TrainConfig config, plain;
  config.set_deterministic(true);
  FillTrainDefaults(config, "cpu");
  EXPECT_EQ(config.virtual_ranks(), 4);
  FillTrainDefaults(plain, "cpu");
  EXPECT_FALSE(plain.has_virtual_ranks());
  EXPECT_EQ(plain.ema(), 0);
  EXPECT_EQ(plain.micro_batch(), 0);
  EXPECT_EQ(plain.resident(), "auto");
  EXPECT_EQ(plain.optimizer().clip_grad_norm(), 0);
}

TEST(SpecDefaultsTest, ASchedulesOwnKeysAreFilledForItAlone) {
  v1::TrainConfig plain, step, plateau;
  step.set_schedule("step");
  plateau.set_schedule("plateau");
  for (v1::TrainConfig* config : {&plain, &step, &plateau}) FillTrainDefaults(*config, "any");
  EXPECT_TRUE(plain.has_warmup_epochs());
  EXPECT_EQ(plain.class_weights(), "none");
  EXPECT_EQ(plain.sampling(), "all");
  EXPECT_FALSE(plain.has_early_stopping());
  EXPECT_FALSE(plain.has_lr_gamma() || plain.has_patience());
  EXPECT_DOUBLE_EQ(step.lr_gamma(), 0.1);
  EXPECT_FALSE(step.has_patience());
  EXPECT_DOUBLE_EQ(plateau.lr_gamma(), 0.1);
  EXPECT_EQ(plateau.patience(), 3);
}

TEST(SpecDefaultsTest, TheKvasirRecipeFillsWhatIsNotGiven) {
  v1::TrainConfig config;
  config.set_defaults("kvasir");
  config.set_weights("resnet50.pth");
  config.mutable_augment()->set_rotate(30);
  config.set_label_smoothing(0);
  FillTrainDefaults(config, "any");
  EXPECT_EQ(config.model(), "resnet50");
  EXPECT_EQ(config.image_size(), 224);
  EXPECT_EQ(config.epochs(), 12);
  ASSERT_EQ(config.phases_size(), 2);
  EXPECT_EQ(config.phases(0).epochs(), 4);
  EXPECT_EQ(config.phases(0).freeze(), "body");
  EXPECT_EQ(config.phases(1).epochs(), 8);
  EXPECT_DOUBLE_EQ(config.phases(1).lr_scale(0), 0.1);
  EXPECT_EQ(config.augment().flip(), "both");
  EXPECT_DOUBLE_EQ(config.augment().crop_scale(0), 0.7);
  EXPECT_DOUBLE_EQ(config.augment().lighting(), 0.2);
  EXPECT_FALSE(config.has_precision());
  EXPECT_EQ(config.augment().rotate(), 30) << "what is written wins";
  EXPECT_EQ(config.label_smoothing(), 0) << "what is written wins";
  v1::TrainConfig again = config;
  FillTrainDefaults(again, "any");
  EXPECT_EQ(again.SerializeAsString(), config.SerializeAsString());
}

TEST(SpecDefaultsTest, TheKvasirRecipeFreezesNoRandomBodyAndKeepsTheEpochs) {
  v1::TrainConfig random, short_one, one;
  random.set_defaults("kvasir");
  FillTrainDefaults(random, "any");
  EXPECT_EQ(random.phases_size(), 0);
  EXPECT_EQ(random.epochs(), 12);
  EXPECT_EQ(random.augment().rotate(), 180);
  EXPECT_DOUBLE_EQ(random.label_smoothing(), 0.1);
  short_one.set_defaults("kvasir");
  short_one.set_weights("w");
  short_one.set_epochs(2);
  FillTrainDefaults(short_one, "any");
  ASSERT_EQ(short_one.phases_size(), 2);
  EXPECT_EQ(short_one.phases(0).epochs(), 1);
  EXPECT_EQ(short_one.phases(1).epochs(), 1);
  one.set_defaults("kvasir");
  one.set_weights("w");
  one.set_epochs(1);
  FillTrainDefaults(one, "any");
  EXPECT_EQ(one.phases_size(), 0);
  EXPECT_EQ(one.epochs(), 1);
}

TEST(SpecDefaultsTest, PrecisionFollowsTheAccelerator) {
  v1::TrainConfig cpu, gpu;
  FillTrainDefaults(cpu, "cpu");
  FillTrainDefaults(gpu, "gpu");
  EXPECT_EQ(cpu.precision(), "fp32");
  EXPECT_EQ(gpu.precision(), "bf16");
}

TEST(SpecDefaultsTest, WithPhasesTheEpochsAreTheirSum) {
  v1::TrainConfig config;
  config.add_phases()->set_epochs(4);
  config.add_phases()->set_epochs(8);
  FillTrainDefaults(config, "any");
  EXPECT_EQ(config.epochs(), 12);
  EXPECT_EQ(config.phases(0).lr_scale_size(), 2);
}

TEST(SpecDefaultsTest, ALossIsMinimised) {
  v1::SweepSpec spec;
  spec.mutable_objective()->set_metric("val/loss");
  FillDefaults(spec);
  EXPECT_EQ(spec.objective().goal(), "minimize");
}

TEST(SpecDefaultsTest, ASearchedOptimizerGetsItsOwnDefaultsPerTrial) {
  v1::SweepSpec spec;
  v1::Dimension& dimension = *spec.add_space();
  dimension.set_path("optimizer.name");
  dimension.mutable_choice()->add_values()->set_text("adamw");
  FillDefaults(spec);
  EXPECT_FALSE(spec.train().optimizer().has_lr());
  v1::TrainConfig trial = spec.train();
  trial.mutable_optimizer()->set_name("adamw");
  FillTrainDefaults(trial, "cpu");
  EXPECT_DOUBLE_EQ(trial.optimizer().lr(), 0.001);
  EXPECT_FALSE(trial.optimizer().has_momentum());
}

TEST(SpecDefaultsTest, OnlyARangeTestGetsARange) {
  v1::SweepSpec spec;
  FillDefaults(spec);
  EXPECT_FALSE(spec.train().has_lr_range());
  spec.mutable_train()->mutable_lr_range();
  FillDefaults(spec);
  EXPECT_DOUBLE_EQ(spec.train().lr_range().min_lr(), 1e-7);
  EXPECT_DOUBLE_EQ(spec.train().lr_range().max_lr(), 10);
  EXPECT_EQ(spec.train().lr_range().steps(), 100);
}

TEST(SpecDefaultsTest, FillingTwiceChangesNothing) {
  v1::SweepSpec once;
  FillDefaults(once);
  v1::SweepSpec twice = once;
  FillDefaults(twice);
  EXPECT_EQ(once.SerializeAsString(), twice.SerializeAsString());
}

}  // namespace
}  // namespace mead::service
