#include "worker/train/optim/layer_groups.h"

#include <algorithm>

namespace mead::train {
namespace {

bool TellsStagesApart(const TrainOptions& options) {
  return std::ranges::any_of(options.phases, [](const Phase& phase) {
    return phase.frozen_stages > 0 || !phase.stage_lr_scales.empty();
  });
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

bool LearnsIn(const Phase& phase, const std::string& parameter) {
  if (IsHeadParameter(parameter)) return true;
  return !phase.freeze_body && StageOf(parameter) >= phase.frozen_stages;
}

std::vector<double> RateFactors(const TrainOptions& options, const Phase& phase) {
  std::vector<double> factors(GroupNames(options).size() - 1, phase.body_lr_scale);
  if (!phase.stage_lr_scales.empty()) factors = phase.stage_lr_scales;
  factors.push_back(phase.head_lr_scale);
  return factors;
}

}  // namespace mead::train
