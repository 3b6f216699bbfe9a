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

}  // namespace

double LearningRateFactor(ScheduleKind kind, int64_t step, int64_t total_steps) {
  const auto total = static_cast<double>(std::max<int64_t>(total_steps, 1));
  const double at = std::clamp(static_cast<double>(step), 0.0, total - 1);
  switch (kind) {
    case ScheduleKind::kOneCycle:
      return OneCycle(at, total);
    case ScheduleKind::kCosine:
      return CosineAnneal(1, 0, at / total);
    case ScheduleKind::kConstant:
      return 1;
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
