// Learning-rate schedules as pure functions of the step.
//
// Units:  steps from 0; the result is a factor of the peak learning rate.
// Source: torch.optim.lr_scheduler.OneCycleLR with its defaults (pct_start 0.3,
//         cosine annealing, div_factor 25, final_div_factor 1e4, momentum left
//         alone) and CosineAnnealingLR (T_max = total_steps, eta_min = 0).
#pragma once

#include <cstdint>
#include <vector>

#include "worker/train/config.h"

namespace mead::train {

// step: [0, total_steps); later steps get the last one's factor.
double LearningRateFactor(ScheduleKind kind, int64_t step, int64_t total_steps);

// The phase that an epoch belongs to.
struct PhaseSpan {
  Phase phase;
  int index = 0;
  int64_t first_step = 0;  // global
  int64_t steps = 0;
};

// epoch: from 1; epochs beyond the last phase belong to it.
PhaseSpan PhaseOfEpoch(const TrainOptions& options, int epoch);

}  // namespace mead::train
