// What a sweep's absent fields mean, filled in so that users, the journal and
// the trainers all read the same numbers.
//
// Thread: free functions without state.
#pragma once

#include <string_view>

#include "mead/v1/sweep.pb.h"

namespace mead::service {

// Everything but train.precision for accelerator "any", which depends on the
// machine that a trial lands on. Keeps what is set, sensible or not:
// ValidateSpec judges.
void FillDefaults(v1::SweepSpec& spec);

// The defaults that depend on other fields (the optimizer's), and on the
// accelerator ("cpu", "gpu" or "any"). Called again after a trial's parameters
// have been applied: optimizer.name may be one of them.
void FillTrainDefaults(v1::TrainConfig& config, std::string_view accelerator);

}  // namespace mead::service
