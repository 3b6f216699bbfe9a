// The groups of layers that a phase may hold still or give rates of their own.
//
// Either two, body and head (the classifier), or, where a phase freezes any or tells stages
// apart, five: layer1 with the stem, layer2, layer3, layer4, head. A trial has the same groups
// throughout, as the optimizer's state is named after them.
//
// Thread: pure functions.
#pragma once

#include <bitset>
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

// By StageOf: some of a body's stages.
using StageSet = std::bitset<4>;

// The stages with a parameter, of all, that is not among those loaded. parameters: by name.
StageSet StagesLacking(const std::vector<std::string>& parameters,
                       const std::vector<std::string>& loaded);
// "layer1" to "layer4", in this order.
std::vector<std::string> StageNames(StageSet stages);
// The same between commas, for a checkpoint; reading it passes other names over.
std::string StagesText(StageSet stages);
StageSet StagesIn(const std::string& text);
// Those that some phase freezes.
StageSet StagesFrozen(const TrainOptions& options);

// at_random: stages that no file gave their weights. A phase does not freeze these: held still
// they would pass on noise.
bool LearnsIn(const Phase& phase, const std::string& parameter, StageSet at_random = {});
// By group: factors of the schedule's rate.
std::vector<double> RateFactors(const TrainOptions& options, const Phase& phase);

// "fc.": the classifier's; all others are the body's.
bool IsHeadParameter(const std::string& parameter);

}  // namespace mead::train
