// SGD (momentum, Nesterov) and AdamW over all parameters in one fused call per
// group, with PyTorch's update rules.
//
// Source: torch.optim.SGD, torch.optim.AdamW (at::_fused_sgd_, at::_fused_adamw_).
// Thread: the train thread owns it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "worker/train/config.h"
#include "worker/train/tensors.h"

namespace mead::train {

class Optimizer {
 public:
  // body: all but the head's (the classifier's); the two may have different
  // rates. The state tensors have the parameters' layouts.
  Optimizer(const OptimizerOptions& options, const std::vector<NamedTensor>& body,
            const std::vector<NamedTensor>& head);

  // Forgets all gradients, so that backward hands its own over without a copy.
  void ClearGradients();

  // Updates every parameter that has a gradient. Parameters without one (frozen)
  // keep their value and state.
  void Step(double body_lr, double head_lr);

  // For checkpoints: "momentum.<parameter>", "exp_avg.<parameter>",
  // "exp_avg_sq.<parameter>", "steps.body", "steps.head"; written through by a load.
  const std::vector<NamedTensor>& state() const { return state_; }

 private:
  // Parameters that share a learning rate and a step count.
  struct Group {
    std::vector<at::Tensor> parameters;
    std::vector<at::Tensor> first;   // momentum, or exp_avg
    std::vector<at::Tensor> second;  // exp_avg_sq
    at::Tensor steps;                // [], float32, AdamW's count
  };
  // name: for the state's names, "body" or "head".
  Group MakeGroup(const std::string& name, const std::vector<NamedTensor>& parameters);
  void Step(Group& group, double lr);

  OptimizerOptions options_;
  std::vector<NamedTensor> state_;
  Group body_;
  Group head_;
};

}  // namespace mead::train
