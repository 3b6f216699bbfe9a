#include "worker/train/config.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <numeric>
#include <utility>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

template <typename T, size_t N>
T FromName(std::string_view what, std::string_view name,
           const std::array<std::pair<std::string_view, T>, N>& table) {
  std::string known;
  for (const auto& [candidate, value] : table) {
    if (candidate == name) return value;
    known += (known.empty() ? "" : ", ") + std::string(candidate);
  }
  throw TrainError(ErrorKind::kUserError, std::string(what) + " '" + std::string(name) +
                                              "' is not known; expected one of: " + known);
}

constexpr std::array<std::pair<std::string_view, OptimizerKind>, 4> kOptimizers{
    {{"sgd", OptimizerKind::kSgd},
     {"adamw", OptimizerKind::kAdamW},
     {"lars", OptimizerKind::kLars},
     {"lamb", OptimizerKind::kLamb}}};

bool InRange(double value, double low, double high) { return value >= low && value <= high; }

}  // namespace

ScheduleKind ScheduleFromName(std::string_view name) {
  return FromName<ScheduleKind, 5>("schedule", name,
                                   {{{"one_cycle", ScheduleKind::kOneCycle},
                                     {"cosine", ScheduleKind::kCosine},
                                     {"constant", ScheduleKind::kConstant},
                                     {"step", ScheduleKind::kStep},
                                     {"plateau", ScheduleKind::kPlateau}}});
}

OptimizerKind OptimizerFromName(std::string_view name) {
  return FromName("optimizer", name, kOptimizers);
}

std::string_view OptimizerName(OptimizerKind kind) {
  for (const auto& [name, value] : kOptimizers) {
    if (value == kind) return name;
  }
  throw TrainError(ErrorKind::kInternal, "an optimizer without a name");
}

OptimizerOptions OptimizerDefaults(OptimizerKind kind) {
  switch (kind) {
    case OptimizerKind::kSgd:
      return {.kind = kind, .lr = 0.01, .weight_decay = 1e-4};
    case OptimizerKind::kAdamW:
      return {.kind = kind, .lr = 0.001, .weight_decay = 0.01};
    case OptimizerKind::kLars:
      return {.kind = kind, .lr = 0.1, .weight_decay = 1e-4, .nesterov = false};
    case OptimizerKind::kLamb:
      return {.kind = kind, .lr = 0.001, .weight_decay = 0.01, .epsilon = 1e-6};
  }
  throw TrainError(ErrorKind::kInternal, "an optimizer without defaults");
}

Precision PrecisionFromName(std::string_view name, std::string_view key) {
  return FromName<Precision, 2>(key, name,
                                {{{"fp32", Precision::kFp32}, {"bf16", Precision::kBf16}}});
}

int64_t ResidentBytesFromName(std::string_view name) {
  return FromName<int64_t, 2>("resident", name, {{{"auto", kResidentAuto}, {"off", 0}}});
}

Views ViewsFromName(std::string_view name) {
  return FromName<Views, 3>(
      "test_time_augment", name,
      {{{"none", Views::kOne}, {"flip", Views::kFlip}, {"flips", Views::kFlips}}});
}

bool StrideInFirstFromName(std::string_view name) {
  return FromName<bool, 2>("stride", name, {{{"v1.5", false}, {"v1", true}}});
}

void Validate(const TrainOptions& options) {
  std::string problems;
  auto check = [&](bool ok, const std::string& problem) {
    if (!ok) problems += (problems.empty() ? "" : "; ") + problem;
  };
  check(InRange(options.warmup_epochs, 0, 1e6), "warmup_epochs must not be negative");
  check(options.warmup_epochs == 0 || options.schedule != ScheduleKind::kOneCycle,
        "warmup_epochs cannot be set for one_cycle, which has its own warm-up");
  check(options.schedule != ScheduleKind::kStep || !options.step_epochs.empty(),
        "step_epochs is empty, and schedule step needs at least one");
  check(std::ranges::is_sorted(options.step_epochs, std::ranges::less_equal()) &&
            std::ranges::none_of(options.step_epochs, [](int epoch) { return epoch < 1; }),
        "step_epochs must rise, from 1 on");
  check(options.lr_gamma > 0 && options.lr_gamma < 1, "lr_gamma must be above 0 and below 1");
  check(options.patience >= 1,
        "patience is " + std::to_string(options.patience) + " and must be at least 1");
  check(options.stop_patience >= 0 && InRange(options.stop_min_delta, 0, 1e300),
        "early_stopping needs a patience of at least 1 and a min_delta of 0 or more");
  check(options.num_classes >= 2,
        "num_classes is " + std::to_string(options.num_classes) + " and must be at least 2");
  check(options.image_size >= 32 && options.image_size <= 4096,
        "image_size is " + std::to_string(options.image_size) + " and must be 32 to 4096");
  check(options.batch_size >= 1,
        "batch_size is " + std::to_string(options.batch_size) + " and must be at least 1");
  check(
      options.steps_per_epoch >= 1,
      "steps_per_epoch is " + std::to_string(options.steps_per_epoch) + " and must be at least 1");
  check(options.epochs >= 1,
        "epochs is " + std::to_string(options.epochs) + " and must be at least 1");
  if (!options.phases.empty()) {
    const int sum =
        std::accumulate(options.phases.begin(), options.phases.end(), 0,
                        [](int total, const Phase& phase) { return total + phase.epochs; });
    check(sum == options.epochs, "the phases have " + std::to_string(sum) +
                                     " epochs together and epochs is " +
                                     std::to_string(options.epochs));
    for (const Phase& phase : options.phases) {
      check(phase.epochs >= 1, "every phase needs at least 1 epoch");
      check(InRange(phase.body_lr_scale, 0, 1e6) && InRange(phase.head_lr_scale, 0, 1e6),
            "lr_scale must be finite and not negative");
      check(phase.stage_lr_scales.empty() || phase.stage_lr_scales.size() == 4,
            "lr_scale by stage is one factor for each of 4 stages, and the head's");
      check(std::ranges::all_of(phase.stage_lr_scales,
                                [](double scale) { return InRange(scale, 0, 1e6); }),
            "lr_scale must be finite and not negative");
      check(phase.frozen_stages >= 0 && phase.frozen_stages <= 4,
            "a phase freezes 0 to 4 stages, not " + std::to_string(phase.frozen_stages));
      check(phase.image_size == 0 || (phase.image_size >= 32 && phase.image_size <= 4096),
            "a phase's image_size is " + std::to_string(phase.image_size) +
                " and must be 32 to 4096");
    }
  }
  const RangeTestOptions& range = options.range_test;
  check(range.steps == 0 ||
            (range.steps >= 2 && range.steps <= kMaxRangeTestSteps && range.min_lr > 0 &&
             range.min_lr < range.max_lr && std::isfinite(range.max_lr / range.min_lr)),
        "lr_range has " + std::to_string(range.steps) + " steps from " +
            std::to_string(range.min_lr) + " to " + std::to_string(range.max_lr) +
            " and must have 2 to 1000 and rise");
  const OptimizerOptions& optimizer = options.optimizer;
  check(optimizer.lr > 0 && std::isfinite(optimizer.lr),
        "optimizer.lr is " + std::to_string(optimizer.lr) + " and must be positive");
  check(InRange(optimizer.weight_decay, 0, 1e6), "optimizer.weight_decay must not be negative");
  check(InRange(optimizer.momentum, 0, 1) && optimizer.momentum < 1,
        "optimizer.momentum must be in [0, 1)");
  check(InRange(optimizer.beta1, 0, 1) && optimizer.beta1 < 1 && InRange(optimizer.beta2, 0, 1) &&
            optimizer.beta2 < 1,
        "optimizer.beta1 and beta2 must be in [0, 1)");
  check(optimizer.trust_coefficient > 0 && optimizer.trust_coefficient <= 1,
        "optimizer.trust_coefficient must be above 0 and at most 1");
  check(InRange(options.clip_grad_norm, 0, 1e9),
        "optimizer.clip_grad_norm must be 0 (no limit) or more");
  check(InRange(options.ema_decay, 0, 1) && options.ema_decay < 1,
        "ema must be in [0, 1), where 0 is none");
  check(options.micro_batch >= 0, "micro_batch is " + std::to_string(options.micro_batch) +
                                      " and must be 0 (as many pictures as fit) or more");
  check(options.virtual_ranks == 0 ||
            (options.virtual_ranks >= 1 && options.virtual_ranks <= 64 &&
             std::has_single_bit(static_cast<unsigned>(options.virtual_ranks))),
        "virtual_ranks is " + std::to_string(options.virtual_ranks) +
            " and must be a power of two from 1 to 64");
  check(
      options.virtual_ranks == 0 || options.micro_batch == 0,
      "micro_batch cannot be set for deterministic training, whose pieces are the virtual ranks'");
  check(options.virtual_ranks == 0 || options.device == "cpu",
        "deterministic training needs a CPU, not device " + options.device);
  check(
      options.virtual_ranks == 0 || options.gradients_on_wire == Precision::kFp32,
      "gradients_on_wire cannot be bf16 with virtual_ranks: what is rounded between ranks depends "
      "on their number; leave one of them out");
  check(InRange(options.label_smoothing, 0, 0.5), "label_smoothing must be in [0, 0.5]");
  check(options.class_weights.empty() ||
            options.class_weights.size() == static_cast<size_t>(std::max(options.num_classes, 0)),
        "class_weights are " + std::to_string(options.class_weights.size()) + " for " +
            std::to_string(options.num_classes) + " classes");
  check(std::ranges::all_of(options.class_weights,
                            [](double weight) { return InRange(weight, 0, 1e9); }),
        "class_weights must be finite and not negative");
  check(options.threads >= 1,
        "threads is " + std::to_string(options.threads) + " and must be at least 1");
  check(options.resident_bytes >= kResidentAuto,
        "resident_bytes is " + std::to_string(options.resident_bytes) + " and must be 0 or more");
  check(options.bucket_bytes >= 1, "bucket_bytes must be positive");
  if (!problems.empty()) throw TrainError(ErrorKind::kUserError, problems);
}

}  // namespace mead::train
