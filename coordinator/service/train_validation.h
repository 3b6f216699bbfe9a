// Judges a training configuration, field by field.
//
// Thread: free functions without state.
#pragma once

#include <vector>

#include "mead/v1/sweep.pb.h"
#include "mead/v1/train_config.pb.h"

namespace mead::service {

// Both with their defaults filled in (the optimizer's may be missing). Fields are
// named from "train." on; the resources are judged elsewhere.
[[nodiscard]] std::vector<v1::Violation> ValidateTrainConfig(const v1::TrainConfig& config,
                                                             const v1::Resources& resources);

}  // namespace mead::service
