#include "worker/train/optim/update_rule.h"

namespace mead::train {

UpdateGroup UpdateGroup::Where(const std::function<bool(size_t)>& chosen) const {
  UpdateGroup subset;
  subset.state.resize(state.size());
  subset.rate = rate;
  subset.steps = steps;
  subset.found_inf = found_inf;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!chosen(i)) continue;
    subset.parameters.push_back(parameters[i]);
    subset.gradients.push_back(gradients[i]);
    subset.copies.push_back(copies[i]);
    for (size_t s = 0; s < state.size(); ++s) subset.state[s].push_back(state[s][i]);
  }
  return subset;
}

void UpdateGroup::WriteCopies() const {
  std::vector<at::Tensor> from, to;
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (!copies[i].defined()) continue;
    from.push_back(parameters[i]);
    to.push_back(copies[i]);
  }
  if (!to.empty()) at::_foreach_copy_(to, from);
}

std::unique_ptr<UpdateRule> MakeUpdateRule(const OptimizerOptions& options) {
  switch (options.kind) {
    case OptimizerKind::kSgd:
      return MakeSgd(options);
    case OptimizerKind::kAdamW:
      return MakeAdamW(options);
    case OptimizerKind::kLars:
      return MakeLars(options);
    case OptimizerKind::kLamb:
      return MakeLamb(options);
  }
  throw TrainError(ErrorKind::kInternal, "an optimizer without a rule");
}

}  // namespace mead::train
