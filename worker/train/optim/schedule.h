// Learning-rate schedules as pure functions of the step, and, for plateau, of how often the
// rate has fallen so far.
//
// Units:  steps from 0; the result is a factor of the peak learning rate.
// Source: torch.optim.lr_scheduler: OneCycleLR with its defaults (pct_start 0.3, cosine
//         annealing, div_factor 25, final_div_factor 1e4, momentum left alone),
//         CosineAnnealingLR (eta_min = 0) over what the warm-up leaves, MultiStepLR and
//         ReduceLROnPlateau. The warm-up is LinearLR from kWarmUpStart.
#pragma once

#include <cstdint>
#include <vector>

#include "worker/train/config.h"

namespace mead::train {

inline constexpr double kWarmUpStart = 0.01;

// The phase that an epoch belongs to.
struct PhaseSpan {
  Phase phase;
  int index = 0;
  int64_t first_step = 0;  // global
  int64_t steps = 0;
};

// epoch: from 1; epochs beyond the last phase belong to it.
PhaseSpan PhaseOfEpoch(const TrainOptions& options, int epoch);

// step: of a phase of total_steps, which each runs the schedule from its beginning: [0,
// total_steps); later steps get the last one's factor. cuts: how often plateau has found one.
double LearningRateFactor(const TrainOptions& options, int64_t step, int64_t total_steps,
                          int cuts = 0);

}  // namespace mead::train
