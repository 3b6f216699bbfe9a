#include "coordinator/service/train_validation.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/range_test.h"
#include "common/sha256.h"
#include "coordinator/service/recipe_validation.h"
#include "coordinator/service/violations.h"

namespace mead::service {
namespace {

constexpr int kMaxBatch = 65'536;
constexpr int kMaxVirtualRanks = 64;
constexpr int kMaxKept = 1000;  // checkpoints of one kind
// Longer than any gradient that is of use; infinity is no limit but a typing error.
constexpr double kMaxGradNorm = 1e9;
// Beyond it every batch mixes half and half.
constexpr double kMaxMixAlpha = 100;

void CheckOptimizer(const v1::OptimizerConfig& optimizer, Violations& out) {
  if (optimizer.has_name()) {
    out.CheckWord("train.optimizer.name", optimizer.name(), {"sgd", "adamw", "lars", "lamb"});
  }
  // Each is checked only where it is set: the other optimizer's fields have no default.
  if (optimizer.has_lr() && !(optimizer.lr() > 0 && optimizer.lr() <= 100)) {
    out.Add("train.optimizer.lr",
            absl::StrCat("must be above 0 and at most 100, not ", optimizer.lr()));
  }
  if (optimizer.has_weight_decay()) {
    out.CheckRange("train.optimizer.weight_decay", optimizer.weight_decay(), 0, 10);
  }
  const auto below_one = [&out](const char* field, bool present, double value) {
    if (present && !(value >= 0 && value < 1)) {
      out.Add(field, absl::StrCat("must be from 0 and below 1, not ", value));
    }
  };
  below_one("train.optimizer.momentum", optimizer.has_momentum(), optimizer.momentum());
  below_one("train.optimizer.beta1", optimizer.has_beta1(), optimizer.beta1());
  below_one("train.optimizer.beta2", optimizer.has_beta2(), optimizer.beta2());
  if (optimizer.has_trust_coefficient() &&
      !(optimizer.trust_coefficient() > 0 && optimizer.trust_coefficient() <= 1)) {
    out.Add("train.optimizer.trust_coefficient",
            absl::StrCat("must be above 0 and at most 1, not ", optimizer.trust_coefficient()));
  }
  out.CheckRange("train.optimizer.clip_grad_norm", optimizer.clip_grad_norm(), 0, kMaxGradNorm);
  if (optimizer.nesterov() && optimizer.has_momentum() && optimizer.momentum() == 0) {
    out.Add("train.optimizer.nesterov", "needs a momentum above 0");
  }
}

void CheckDeterminism(const v1::TrainConfig& config, const v1::Resources& resources,
                      Violations& out) {
  if (!config.deterministic()) {
    if (config.has_virtual_ranks()) {
      out.Add("train.virtual_ranks",
              "is for deterministic trials; set deterministic: true, or leave it out");
    }
    return;
  }
  if (resources.accelerator() != "cpu") {
    out.Add("train.deterministic",
            absl::StrCat("needs resources.accelerator: cpu, not ", resources.accelerator(),
                         "; the sums of a GPU have no fixed order"));
  }
  if (config.micro_batch() > 0) {
    out.Add("train.micro_batch",
            "cannot be set for deterministic trials, whose pieces are the virtual ranks'; leave it "
            "out, or set virtual_ranks");
  }
  if (config.gradients_on_wire() == "bf16") {
    out.Add("train.gradients_on_wire",
            "cannot be bf16 for deterministic trials: what is rounded between ranks depends on "
            "their number, and the sums over virtual_ranks must not; leave it out, or "
            "deterministic");
  }
  const int pieces = config.virtual_ranks();
  if (pieces < 1 || pieces > kMaxVirtualRanks || !std::has_single_bit(static_cast<unsigned>(pieces))) {
    out.Add("train.virtual_ranks",
            absl::StrCat("must be a power of two from 1 to ", kMaxVirtualRanks, ", not ", pieces));
  } else if (resources.ranks() > 0 && pieces % resources.ranks() != 0) {
    out.Add("train.virtual_ranks",
            absl::StrCat(pieces, " cannot be shared evenly by the ", resources.ranks(),
                         " ranks of resources.ranks; it must be a multiple of them"));
  }
}

void CheckCheckpoint(const v1::CheckpointConfig& checkpoint, Violations& out) {
  out.CheckRange("train.checkpoint.every_steps", checkpoint.every_steps(), 0, 1'000'000);
  out.CheckRange("train.checkpoint.every_minutes", checkpoint.every_minutes(), 0, 10'000);
  out.CheckRange("train.checkpoint.keep_best", checkpoint.keep_best(), 1, kMaxKept);
  out.CheckRange("train.checkpoint.keep_latest", checkpoint.keep_latest(), 1, kMaxKept);
}

void CheckLrRange(const v1::LrRange& range, Violations& out) {
  if (!(range.max_lr() > 0 && range.max_lr() <= 100)) {
    out.Add("train.lr_range.max_lr",
            absl::StrCat("must be above 0 and at most 100, not ", range.max_lr()));
  }
  // So that the factor between them is a number.
  constexpr double kSmallest = 1e-12;
  if (!(range.min_lr() >= kSmallest && range.min_lr() < range.max_lr())) {
    out.Add("train.lr_range.min_lr", absl::StrCat("must be from ", kSmallest, " to below max_lr, ",
                                                  range.max_lr(), ", not ", range.min_lr()));
  }
  out.CheckRange("train.lr_range.steps", range.steps(), 10, kMaxRangeTestSteps);
}

void CheckAugment(const v1::AugmentConfig& augment, Violations& out) {
  out.CheckRange("train.augment.rotate", augment.rotate(), 0, 180);
  out.CheckWord("train.augment.flip", augment.flip(), {"none", "horizontal", "vertical", "both"});
  out.CheckRange("train.augment.lighting", augment.lighting(), 0, 1);
  out.CheckRange("train.augment.mixup", augment.mixup(), 0, kMaxMixAlpha);
  out.CheckRange("train.augment.cutmix", augment.cutmix(), 0, kMaxMixAlpha);
  out.CheckRange("train.augment.erasing", augment.erasing(), 0, 1);
  out.CheckWord("train.augment.position_box", augment.position_box(), {"keep", "mask", "crop"});
  if (augment.crop_scale_size() != 2) {
    out.Add("train.augment.crop_scale",
            absl::StrCat("is two shares of the picture's area, [low, high], not ",
                         augment.crop_scale_size()));
    return;
  }
  const double low = augment.crop_scale(0);
  const double high = augment.crop_scale(1);
  if (!(low > 0 && low <= high && high <= 1)) {
    out.Add("train.augment.crop_scale",
            absl::StrCat("must hold 0 < low <= high <= 1, not [", low, ", ", high, "]"));
  }
}

}  // namespace

std::vector<v1::Violation> ValidateTrainConfig(const v1::TrainConfig& config,
                                               const v1::Resources& resources) {
  Violations out;
  const int ranks = resources.ranks();
  out.CheckWord("train.model", config.model(),
                {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"});
  if (!config.weights().empty() && config.weights_artifact().empty()) {
    out.Add("train.weights", absl::StrCat("'", config.weights(),
                                          "' has not been uploaded; submit with the mead command, "
                                          "or set weights_artifact to the stored file's digest"));
  }
  if (!config.weights_artifact().empty() && !IsDigest(config.weights_artifact())) {
    out.Add("train.weights_artifact",
            absl::StrCat("is sha256: and 64 hexadecimal digits, not '", config.weights_artifact(),
                         "'"));
  }
  out.CheckRange("train.image_size", config.image_size(), 64, 1024);
  out.CheckRange("train.batch_size", config.batch_size(), 1, kMaxBatch);
  if (config.batch_size() >= 1 && config.batch_size() < ranks) {
    out.Add("train.batch_size",
            absl::StrCat(config.batch_size(), " images cannot be shared by ", ranks,
                         " ranks; it is the batch over all ranks, so use ", ranks, " or more"));
  }
  if (config.has_precision()) {
    out.CheckWord("train.precision", config.precision(), {"fp32", "bf16"});
  }
  out.CheckWord("train.gradients_on_wire", config.gradients_on_wire(), {"fp32", "bf16"});
  out.CheckRange("train.label_smoothing", config.label_smoothing(), 0, 0.5);
  out.CheckRange("train.loader_threads", config.loader_threads(), 0, 256);
  if (!(config.ema() >= 0 && config.ema() < 1)) {
    out.Add("train.ema", absl::StrCat("is a decay from 0 (no average) to below 1, not ",
                                      config.ema()));
  }
  out.CheckRange("train.micro_batch", config.micro_batch(), 0, kMaxBatch);
  out.CheckWord("train.resident", config.resident(), {"auto", "off"});
  CheckDeterminism(config, resources, out);
  CheckOptimizer(config.optimizer(), out);
  CheckRecipe(config, out);
  CheckAugment(config.augment(), out);
  CheckCheckpoint(config.checkpoint(), out);
  if (config.has_lr_range()) CheckLrRange(config.lr_range(), out);
  return out.Take();
}

}  // namespace mead::service
