#include "worker/train/optim/optimizer.h"

#include <algorithm>

namespace mead::train {

Optimizer::Optimizer(const OptimizerOptions& options, const std::vector<ParameterGroup>& groups,
                     const std::vector<NamedTensor>& copies)
    : rule_(MakeUpdateRule(options)) {
  for (const ParameterGroup& group : groups) groups_.push_back(MakeGroup(group, copies));
}

Optimizer::Optimizer(const OptimizerOptions& options, const std::vector<NamedTensor>& body,
                     const std::vector<NamedTensor>& head, const std::vector<NamedTensor>& copies)
    : Optimizer(options,
                {{.name = "body", .parameters = body}, {.name = "head", .parameters = head}},
                copies) {}

UpdateGroup Optimizer::MakeGroup(const ParameterGroup& from,
                                 const std::vector<NamedTensor>& copies) {
  UpdateGroup group;
  const std::vector<std::string> kinds = rule_->state_names();
  group.state.resize(kinds.size());
  for (const NamedTensor& parameter : from.parameters) {
    group.parameters.push_back(parameter.tensor);
    const auto copy = std::ranges::find(copies, parameter.name, &NamedTensor::name);
    group.copies.push_back(copy == copies.end() ? at::Tensor() : copy->tensor);
    for (size_t s = 0; s < kinds.size(); ++s) {
      const at::Tensor zeros = at::zeros_like(parameter.tensor).detach();
      group.state[s].push_back(zeros);
      state_.push_back({kinds[s] + "." + parameter.name, zeros});
    }
  }
  const at::TensorOptions scalar =
      from.parameters.front().tensor.options().requires_grad(false).dtype(at::kFloat);
  group.rate = at::zeros({}, scalar);
  if (rule_->counts_steps()) {
    group.steps = at::zeros({}, scalar);
    state_.push_back({"steps." + from.name, group.steps});
  }
  return group;
}

void Optimizer::ClearGradients() {
  for (UpdateGroup& group : groups_) {
    for (at::Tensor& parameter : group.parameters) parameter.mutable_grad().reset();
  }
}

std::vector<at::Tensor> Optimizer::Gradients() const {
  std::vector<at::Tensor> gradients;
  for (const UpdateGroup& group : groups_) {
    for (const at::Tensor& parameter : group.parameters) {
      if (parameter.grad().defined()) gradients.push_back(parameter.grad());
    }
  }
  return gradients;
}

void Optimizer::SetRates(const std::vector<double>& rates) {
  for (size_t i = 0; i < groups_.size(); ++i) groups_[i].rate.fill_(rates.at(i));
}

void Optimizer::Step(const at::Tensor& found_inf) {
  at::NoGradGuard no_grad;
  for (const UpdateGroup& group : groups_) Step(group, found_inf);
}

void Optimizer::Step(UpdateGroup group, const at::Tensor& found_inf) const {
  for (const at::Tensor& parameter : group.parameters) group.gradients.push_back(parameter.grad());
  group.found_inf = found_inf;
  const UpdateGroup moving = group.Where([&](size_t i) { return group.gradients[i].defined(); });
  if (moving.parameters.empty()) return;
  if (moving.steps.defined()) {
    moving.steps.add_(1);
    if (found_inf.defined()) moving.steps.sub_(found_inf);
  }
  rule_->Update(moving);
}

}  // namespace mead::train
