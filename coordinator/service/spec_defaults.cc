#include "coordinator/service/spec_defaults.h"

#include <set>
#include <string>

#include "absl/strings/match.h"
#include "common/base/range_test.h"
#include "coordinator/service/kvasir_recipe.h"

namespace mead::service {

namespace {

void FillOptimizerDefaults(v1::OptimizerConfig& optimizer) {
  if (!optimizer.has_name()) optimizer.set_name("sgd");
  const bool lars = optimizer.name() == "lars";
  const bool adam = optimizer.name() == "adamw" || optimizer.name() == "lamb";
  if (!optimizer.has_lr()) optimizer.set_lr(lars ? 0.1 : adam ? 0.001 : 0.01);
  if (!optimizer.has_weight_decay()) optimizer.set_weight_decay(adam ? 0.01 : 1e-4);
  if (!optimizer.has_clip_grad_norm()) optimizer.set_clip_grad_norm(0);
  if (adam) {
    if (!optimizer.has_beta1()) optimizer.set_beta1(0.9);
    if (!optimizer.has_beta2()) optimizer.set_beta2(0.999);
    return;
  }
  if (!optimizer.has_momentum()) optimizer.set_momentum(0.9);
  if (!optimizer.has_nesterov()) optimizer.set_nesterov(!lars && optimizer.momentum() > 0);
  if (lars && !optimizer.has_trust_coefficient()) optimizer.set_trust_coefficient(0.001);
}

void FillCheckpointDefaults(v1::CheckpointConfig& checkpoint) {
  if (!checkpoint.has_every_steps()) checkpoint.set_every_steps(0);
  if (!checkpoint.has_every_minutes()) checkpoint.set_every_minutes(5);
  if (!checkpoint.has_keep_best()) checkpoint.set_keep_best(1);
  if (!checkpoint.has_keep_latest()) checkpoint.set_keep_latest(1);
}

void FillLrRangeDefaults(v1::LrRange& range) {
  const RangeTestOptions defaults;
  if (!range.has_min_lr()) range.set_min_lr(defaults.min_lr);
  if (!range.has_max_lr()) range.set_max_lr(defaults.max_lr);
  if (!range.has_steps()) range.set_steps(kRangeTestSteps);
}

}  // namespace

void FillTrainDefaults(v1::TrainConfig& config, std::string_view accelerator) {
  if (config.defaults() == "kvasir") FillKvasirRecipe(config);
  if (!config.has_model()) config.set_model("resnet50");
  if (!config.has_image_size()) config.set_image_size(224);
  if (!config.has_batch_size()) config.set_batch_size(64);
  for (v1::Phase& phase : *config.mutable_phases()) {
    if (!phase.has_freeze()) phase.set_freeze("none");
    if (phase.lr_scale().empty()) {
      phase.add_lr_scale(1);
      phase.add_lr_scale(1);
    }
  }
  if (!config.has_epochs()) {
    int epochs = config.phases().empty() ? 10 : 0;
    for (const v1::Phase& phase : config.phases()) epochs += phase.epochs();
    config.set_epochs(epochs);
  }
  if (!config.has_schedule()) config.set_schedule("one_cycle");
  if (!config.has_warmup_epochs()) config.set_warmup_epochs(0);
  const bool plateau = config.schedule() == "plateau";
  if (!config.has_lr_gamma() && (plateau || config.schedule() == "step")) config.set_lr_gamma(0.1);
  if (!config.has_patience() && plateau) config.set_patience(3);
  if (!config.has_class_weights()) config.set_class_weights("none");
  if (!config.has_sampling()) config.set_sampling("all");
  if (!config.has_test_time_augment()) config.set_test_time_augment("none");
  if (!config.has_stride()) config.set_stride("v1.5");
  if (!config.has_seed()) config.set_seed(1);
  if (!config.has_label_smoothing()) config.set_label_smoothing(0);
  if (!config.has_loader_threads()) config.set_loader_threads(0);
  if (!config.has_ema()) config.set_ema(0);
  if (!config.has_micro_batch()) config.set_micro_batch(0);
  if (!config.has_resident()) config.set_resident("auto");
  if (!config.has_freeze_batch_norm()) config.set_freeze_batch_norm(false);
  if (!config.has_gradients_on_wire()) config.set_gradients_on_wire("fp32");
  if (!config.has_deterministic()) config.set_deterministic(false);
  if (config.deterministic() && !config.has_virtual_ranks()) config.set_virtual_ranks(4);
  if (!config.has_precision() && accelerator != "any") {
    config.set_precision(accelerator == "gpu" ? "bf16" : "fp32");
  }

  FillOptimizerDefaults(*config.mutable_optimizer());
  FillCheckpointDefaults(*config.mutable_checkpoint());
  if (config.has_lr_range()) FillLrRangeDefaults(*config.mutable_lr_range());

  v1::AugmentConfig& augment = *config.mutable_augment();
  if (!augment.has_rotate()) augment.set_rotate(0);
  if (!augment.has_flip()) augment.set_flip("horizontal");
  if (augment.crop_scale().empty()) {
    augment.add_crop_scale(1);
    augment.add_crop_scale(1);
  }
  if (!augment.has_lighting()) augment.set_lighting(0);
  if (!augment.has_mixup()) augment.set_mixup(0);
  if (!augment.has_cutmix()) augment.set_cutmix(0);
  if (!augment.has_erasing()) augment.set_erasing(0);
  if (!augment.has_position_box()) augment.set_position_box("keep");
}

namespace {

// A trial whose optimizer.name is searched gets that optimizer's own defaults,
// so the sweep's shared configuration must not pin another's.
void FillSharedTrainDefaults(v1::SweepSpec& spec) {
  std::set<std::string> searched;
  for (const v1::Dimension& dimension : spec.space()) searched.insert(dimension.path());
  v1::TrainConfig& config = *spec.mutable_train();
  const v1::OptimizerConfig given = config.optimizer();
  FillTrainDefaults(config, spec.resources().accelerator());
  if (searched.contains("optimizer.name")) {
    *config.mutable_optimizer() = given;
  } else if (searched.contains("optimizer.momentum") && !given.has_nesterov()) {
    config.mutable_optimizer()->clear_nesterov();
  }
}

}  // namespace

void FillDefaults(v1::SweepSpec& spec) {
  v1::Objective& objective = *spec.mutable_objective();
  if (objective.metric().empty()) objective.set_metric("val/accuracy");
  if (objective.goal().empty()) {
    // Nobody who names a loss wants the largest one.
    objective.set_goal(absl::EndsWith(objective.metric(), "/loss") ? "minimize" : "maximize");
  }

  v1::Search& search = *spec.mutable_search();
  if (search.method().empty()) search.set_method("random");
  // Without a space there is one configuration to try.
  if (search.trials() == 0 && search.method() == "random" && spec.space().empty()) {
    search.set_trials(1);
  }
  if (spec.stopper().method().empty()) spec.mutable_stopper()->set_method("none");

  v1::Resources& resources = *spec.mutable_resources();
  if (resources.ranks() == 0) resources.set_ranks(1);
  if (resources.accelerator().empty()) resources.set_accelerator("any");

  v1::Retry& retry = *spec.mutable_retry();
  if (!retry.has_user_error()) retry.set_user_error(0);
  if (!retry.has_out_of_memory()) retry.set_out_of_memory(1);
  if (!retry.has_infrastructure()) retry.set_infrastructure(10);

  for (v1::Dimension& dimension : *spec.mutable_space()) {
    if (dimension.has_int_() && dimension.int_().step() == 0) {
      dimension.mutable_int_()->set_step(1);
    }
  }
  FillSharedTrainDefaults(spec);
}

}  // namespace mead::service
