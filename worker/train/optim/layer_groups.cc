#include "worker/train/optim/layer_groups.h"

#include <algorithm>
#include <set>
#include <sstream>

namespace mead::train {
namespace {

bool TellsStagesApart(const TrainOptions& options) {
  return std::ranges::any_of(options.phases, [](const Phase& phase) {
    // Of a frozen body the stages that were not in the weights file learn all the same.
    return phase.freeze_body || phase.frozen_stages > 0 || !phase.stage_lr_scales.empty();
  });
}

bool Freezes(const Phase& phase, int stage) {
  return phase.freeze_body || stage < phase.frozen_stages;
}

}  // namespace

bool IsHeadParameter(const std::string& parameter) { return parameter.starts_with("fc."); }

int StageOf(const std::string& parameter) {
  return parameter.starts_with("layer") ? parameter[5] - '1' : 0;
}

std::vector<std::string> GroupNames(const TrainOptions& options) {
  if (!TellsStagesApart(options)) return {"body", "head"};
  return {"layer1", "layer2", "layer3", "layer4", "head"};
}

size_t GroupOf(const TrainOptions& options, const std::string& parameter) {
  if (IsHeadParameter(parameter)) return GroupNames(options).size() - 1;
  return TellsStagesApart(options) ? static_cast<size_t>(StageOf(parameter)) : 0;
}

StageSet StagesLacking(const std::vector<std::string>& parameters,
                       const std::vector<std::string>& loaded) {
  const std::set<std::string> there(loaded.begin(), loaded.end());
  StageSet lacking;
  for (const std::string& name : parameters) {
    if (!IsHeadParameter(name) && !there.contains(name)) lacking.set(StageOf(name));
  }
  return lacking;
}

std::vector<std::string> StageNames(StageSet stages) {
  std::vector<std::string> names;
  for (size_t i = 0; i < stages.size(); ++i) {
    if (stages[i]) names.push_back("layer" + std::to_string(i + 1));
  }
  return names;
}

std::string StagesText(StageSet stages) {
  std::string text;
  for (const std::string& name : StageNames(stages)) text += (text.empty() ? "" : ",") + name;
  return text;
}

StageSet StagesIn(const std::string& text) {
  const std::vector<std::string> known = StageNames(StageSet().set());
  StageSet stages;
  std::istringstream in(text);
  for (std::string name; std::getline(in, name, ',');) {
    const auto found = std::ranges::find(known, name);
    if (found != known.end()) stages.set(found - known.begin());
  }
  return stages;
}

StageSet StagesFrozen(const TrainOptions& options) {
  StageSet frozen;
  for (const Phase& phase : options.phases) {
    for (size_t i = 0; i < frozen.size(); ++i) {
      if (Freezes(phase, static_cast<int>(i))) frozen.set(i);
    }
  }
  return frozen;
}

bool LearnsIn(const Phase& phase, const std::string& parameter, StageSet at_random) {
  if (IsHeadParameter(parameter)) return true;
  const int stage = StageOf(parameter);
  return !Freezes(phase, stage) || at_random[stage];
}

std::vector<double> RateFactors(const TrainOptions& options, const Phase& phase) {
  std::vector<double> factors(GroupNames(options).size() - 1, phase.body_lr_scale);
  if (!phase.stage_lr_scales.empty()) factors = phase.stage_lr_scales;
  factors.push_back(phase.head_lr_scale);
  return factors;
}

}  // namespace mead::train
