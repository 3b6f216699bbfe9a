// Judges a training configuration, field by field.
//
// Thread: free functions without state.
#pragma once

#include <vector>

#include "mead/v1/sweep.pb.h"
#include "mead/v1/train_config.pb.h"

namespace mead::service {

// config: with its defaults filled in (its optimizer's may be missing). Fields
// are named from "train." on.
[[nodiscard]] std::vector<v1::Violation> ValidateTrainConfig(const v1::TrainConfig& config,
                                                             int ranks);

}  // namespace mead::service
