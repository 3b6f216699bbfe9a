#include "worker/train/optim/optimizer.h"

namespace mead::train {

Optimizer::Optimizer(const OptimizerOptions& options, const std::vector<NamedTensor>& body,
                     const std::vector<NamedTensor>& head)
    : options_(options), body_(MakeGroup("body", body)), head_(MakeGroup("head", head)) {}

Optimizer::Group Optimizer::MakeGroup(const std::string& name,
                                      const std::vector<NamedTensor>& parameters) {
  const bool adamw = options_.kind == OptimizerKind::kAdamW;
  Group group;
  for (const NamedTensor& parameter : parameters) {
    group.parameters.push_back(parameter.tensor);
    // Zeros with the parameter's strides: with dampening 0 the first step from a
    // zero momentum is PyTorch's "momentum = gradient".
    auto state = [&](const std::string& kind, std::vector<at::Tensor>& list) {
      at::Tensor tensor = at::zeros_like(parameter.tensor).detach();
      list.push_back(tensor);
      state_.push_back({kind + "." + parameter.name, tensor});
    };
    if (adamw) {
      state("exp_avg", group.first);
      state("exp_avg_sq", group.second);
    } else if (options_.momentum != 0) {
      state("momentum", group.first);
    }
  }
  if (adamw) {
    const at::Tensor& any = parameters.front().tensor;
    group.steps = at::zeros({}, any.options().requires_grad(false).dtype(at::kFloat));
    state_.push_back({"steps." + name, group.steps});
  }
  return group;
}

void Optimizer::ClearGradients() {
  for (Group* group : {&body_, &head_}) {
    for (at::Tensor& parameter : group->parameters) parameter.mutable_grad().reset();
  }
}

void Optimizer::Step(double body_lr, double head_lr) {
  at::NoGradGuard no_grad;
  Step(body_, body_lr);
  Step(head_, head_lr);
}

void Optimizer::Step(Group& group, double lr) {
  std::vector<at::Tensor> parameters, gradients, first, second;
  for (size_t i = 0; i < group.parameters.size(); ++i) {
    const at::Tensor& gradient = group.parameters[i].grad();
    if (!gradient.defined()) continue;
    parameters.push_back(group.parameters[i]);
    gradients.push_back(gradient);
    if (!group.first.empty()) first.push_back(group.first[i]);
    if (!group.second.empty()) second.push_back(group.second[i]);
  }
  if (parameters.empty()) return;
  if (options_.kind == OptimizerKind::kAdamW) {
    group.steps += 1;
    const std::vector<at::Tensor> steps(parameters.size(), group.steps);
    at::_fused_adamw_(parameters, gradients, first, second, /*max_exp_avg_sqs=*/{}, steps, lr,
                      options_.beta1, options_.beta2, options_.weight_decay, options_.epsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  } else {
    at::_fused_sgd_(parameters, gradients, first, options_.weight_decay, options_.momentum, lr,
                    /*dampening=*/0, options_.momentum != 0 && options_.nesterov,
                    /*maximize=*/false, /*is_first_step=*/false);
  }
}

}  // namespace mead::train
