// The recipe that `train.defaults: kvasir` stands for.
#pragma once

#include "mead/v1/train_config.pb.h"

namespace mead::service {

// Fills in what the recipe says and the configuration does not, before the general defaults.
// Twice is as once.
void FillKvasirRecipe(v1::TrainConfig& config);

}  // namespace mead::service
