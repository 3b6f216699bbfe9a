// Moves the weights by their gradients: SGD, AdamW, LARS or LAMB over all
// parameters in a few calls per group.
//
// Step() reads rates, step counts and found_inf from device tensors and asks the
// device for nothing, so a CUDA graph can hold it; SetRates() stays outside.
// Thread: the train thread owns it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "worker/train/config.h"
#include "worker/train/optim/update_rule.h"
#include "worker/train/tensors.h"

namespace mead::train {

class Optimizer {
 public:
  // body: all but the head's (the classifier's); the two may have different
  // rates. Neither is empty. The state tensors have the parameters' layouts.
  // copies: by their parameters' names, in bfloat16: those that Step() writes as well.
  Optimizer(const OptimizerOptions& options, const std::vector<NamedTensor>& body,
            const std::vector<NamedTensor>& head, const std::vector<NamedTensor>& copies = {});

  // Forgets all gradients, so that backward hands its own over without a copy.
  void ClearGradients();

  // Those that there are, body first.
  std::vector<at::Tensor> Gradients() const;

  // The rates of the steps that follow, 0 at first.
  void SetRates(double body, double head);

  // Updates every parameter that has a gradient, and its copy. Parameters without one (frozen)
  // keep their value and state. found_inf: [], float32, on the parameters' device;
  // where it holds 1 nothing changes, whatever the gradients are.
  void Step(const at::Tensor& found_inf = {});

  // For checkpoints: what the rule keeps ("momentum.<parameter>"), and the counts
  // "steps.body" and "steps.head" if it counts; written through by a load.
  const std::vector<NamedTensor>& state() const { return state_; }

 private:
  // name: for the state's names, "body" or "head".
  UpdateGroup MakeGroup(const std::string& name, const std::vector<NamedTensor>& parameters,
                        const std::vector<NamedTensor>& copies);
  void Step(UpdateGroup group, const at::Tensor& found_inf) const;

  std::unique_ptr<UpdateRule> rule_;
  std::vector<NamedTensor> state_;
  // Without gradients: those are the parameters' own.
  UpdateGroup body_;
  UpdateGroup head_;
};

}  // namespace mead::train
