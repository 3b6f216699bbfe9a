#include "worker/train/optim/ema.h"

#include <optional>

namespace mead::train {

WeightAverage::WeightAverage(const std::vector<NamedTensor>& parameters, double decay)
    : decay_(decay) {
  at::NoGradGuard no_grad;
  for (const NamedTensor& parameter : parameters) {
    parameters_.push_back(parameter.tensor);
    averages_.push_back(parameter.tensor.clone());
    state_.push_back({"ema." + parameter.name, averages_.back()});
  }
  updates_ = at::zeros({}, parameters_.front().options().requires_grad(false).dtype(at::kFloat));
  state_.push_back({"steps.ema", updates_});
}

void WeightAverage::Restart() {
  at::NoGradGuard no_grad;
  at::_foreach_copy_(averages_, parameters_);
  updates_.zero_();
}

void WeightAverage::Update(const at::Tensor& found_inf) {
  at::NoGradGuard no_grad;
  const at::Tensor decay = at::clamp_max((updates_ + 1) / (updates_ + 10), decay_);  // []
  updates_.add_(1);
  if (found_inf.defined()) updates_.sub_(found_inf);
  // foreach_lerp takes its weight from the host or, slowly, per tensor. The same is
  // a step of gradient descent on half the squared distance, whose gradient is
  // average - weight: the weights as gradients to ascend, and a weight decay of 1.
  at::_fused_sgd_(averages_, parameters_, /*momentum_buffer_list=*/{}, /*weight_decay=*/1,
                  /*momentum=*/0, /*lr=*/1 - decay, /*dampening=*/0, /*nesterov=*/false,
                  /*maximize=*/true, /*is_first_step=*/false, /*grad_scale=*/{},
                  found_inf.defined() ? std::optional(found_inf) : std::nullopt);
}

WeightAverage::Scope::Scope(const WeightAverage& average) : average_(average) {
  at::NoGradGuard no_grad;
  for (const at::Tensor& parameter : average_.parameters_) weights_.push_back(parameter.clone());
  at::_foreach_copy_(average_.parameters_, average_.averages_);
}

// A copy between tensors that exist fails only with the device, and then the
// process has no more use for the weights.
WeightAverage::Scope::~Scope() {
  at::NoGradGuard no_grad;
  at::_foreach_copy_(average_.parameters_, weights_);
}

}  // namespace mead::train
