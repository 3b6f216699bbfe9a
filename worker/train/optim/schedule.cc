#include "worker/train/optim/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace mead::train {
namespace {

// From `start` to `end` along half a cosine; progress in [0, 1].
double CosineAnneal(double start, double end, double progress) {
  return end + (start - end) / 2 * (1 + std::cos(std::numbers::pi * progress));
}

double OneCycle(double step, double total_steps) {
  constexpr double kWarmUpShare = 0.3;
  constexpr double kInitial = 1.0 / 25;
  constexpr double kFinal = kInitial / 1e4;
  // PyTorch's formula divides by zero or skips the peak when the warm-up is
  // shorter than a step; the peak is then where a run of few steps starts.
  const double peak_step = std::max(kWarmUpShare * total_steps - 1, 0.0);
  if (step < peak_step) return CosineAnneal(kInitial, 1, step / peak_step);
  const double last_step = total_steps - 1;
  if (last_step <= peak_step) return 1;
  return CosineAnneal(1, kFinal, (step - peak_step) / (last_step - peak_step));
}

// How many of the epochs after which the rate falls have passed.
int FallsBefore(const TrainOptions& options, double step) {
  const auto steps_per_epoch = static_cast<double>(options.steps_per_epoch);
  return static_cast<int>(std::ranges::count_if(
      options.step_epochs, [&](int epoch) { return step >= epoch * steps_per_epoch; }));
}

}  // namespace

double LearningRateFactor(const TrainOptions& options, int64_t step, int64_t total_steps,
                          int cuts) {
  const auto total = static_cast<double>(std::max<int64_t>(total_steps, 1));
  const double at = std::clamp(static_cast<double>(step), 0.0, total - 1);
  const double warm = std::min(
      std::round(options.warmup_epochs * static_cast<double>(options.steps_per_epoch)), total);
  const double rise = at < warm ? kWarmUpStart + (1 - kWarmUpStart) * at / warm : 1;
  switch (options.schedule) {
    case ScheduleKind::kOneCycle:
      return OneCycle(at, total);
    case ScheduleKind::kCosine:
      return at < warm ? rise : CosineAnneal(1, 0, (at - warm) / (total - warm));
    case ScheduleKind::kConstant:
      return rise;
    case ScheduleKind::kStep:
      return rise * std::pow(options.lr_gamma, FallsBefore(options, at));
    case ScheduleKind::kPlateau:
      return rise * std::pow(options.lr_gamma, cuts);
  }
  return 1;
}

PhaseSpan PhaseOfEpoch(const TrainOptions& options, int epoch) {
  if (options.phases.empty()) {
    return {.phase = {.epochs = options.epochs}, .steps = options.epochs * options.steps_per_epoch};
  }
  PhaseSpan span;
  int epochs_before = 0;
  for (size_t i = 0; i < options.phases.size(); ++i) {
    span = {.phase = options.phases[i],
            .index = static_cast<int>(i),
            .first_step = epochs_before * options.steps_per_epoch,
            .steps = options.phases[i].epochs * options.steps_per_epoch};
    epochs_before += options.phases[i].epochs;
    if (epoch <= epochs_before) break;
  }
  return span;
}

}  // namespace mead::train
