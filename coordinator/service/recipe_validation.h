// Judges the recipe in a training configuration: its schedule and phases, when it ends, how
// classes of unequal sizes are treated and how evaluation looks.
#pragma once

#include "coordinator/service/violations.h"
#include "mead/v1/train_config.pb.h"

namespace mead::service {

// config: with defaults filled in.
void CheckRecipe(const v1::TrainConfig& config, Violations& out);

}  // namespace mead::service
