// The groups of layers that a phase may hold still or give rates of their own.
//
// Either two, body and head (the classifier), or, where a phase tells stages apart, five:
// layer1 with the stem, layer2, layer3, layer4, head. A trial has the same groups throughout, as
// the optimizer's state is named after them.
// Thread: pure functions.
#pragma once

#include <string>
#include <vector>

#include "worker/train/config.h"

namespace mead::train {

// From 0; of a body's parameter by torchvision's name. The stem is of the first.
int StageOf(const std::string& parameter);

// "body", "head"; or "layer1" to "layer4", "head".
std::vector<std::string> GroupNames(const TrainOptions& options);
// Into GroupNames.
size_t GroupOf(const TrainOptions& options, const std::string& parameter);

bool LearnsIn(const Phase& phase, const std::string& parameter);
// By group: factors of the schedule's rate.
std::vector<double> RateFactors(const TrainOptions& options, const Phase& phase);

// "fc.": the classifier's; all others are the body's.
bool IsHeadParameter(const std::string& parameter);

}  // namespace mead::train
