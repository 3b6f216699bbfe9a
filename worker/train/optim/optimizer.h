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

// Parameters with a rate of their own.
struct ParameterGroup {
  std::string name;
  std::vector<NamedTensor> parameters = {};  // not empty
};

class Optimizer {
 public:
  // The state tensors have the parameters' layouts.
  // copies: by their parameters' names, in bfloat16: those that Step() writes as well.
  Optimizer(const OptimizerOptions& options, const std::vector<ParameterGroup>& groups,
            const std::vector<NamedTensor>& copies = {});
  // Two groups, "body" and "head".
  Optimizer(const OptimizerOptions& options, const std::vector<NamedTensor>& body,
            const std::vector<NamedTensor>& head, const std::vector<NamedTensor>& copies = {});

  // Forgets all gradients, so that backward hands its own over without a copy.
  void ClearGradients();

  // Those that there are, group by group.
  std::vector<at::Tensor> Gradients() const;

  // The rates of the steps that follow, by group, 0 at first.
  void SetRates(const std::vector<double>& rates);
  void SetRates(double body, double head) { SetRates({body, head}); }

  // Updates every parameter that has a gradient, and its copy. Parameters without one (frozen)
  // keep their value and state. found_inf: [], float32, on the parameters' device;
  // where it holds 1 nothing changes, whatever the gradients are.
  void Step(const at::Tensor& found_inf = {});

  // For checkpoints: what the rule keeps ("momentum.<parameter>"), and the counts
  // "steps.<group>" if it counts; written through by a load.
  const std::vector<NamedTensor>& state() const { return state_; }

 private:
  UpdateGroup MakeGroup(const ParameterGroup& from, const std::vector<NamedTensor>& copies);
  void Step(UpdateGroup group, const at::Tensor& found_inf) const;

  std::unique_ptr<UpdateRule> rule_;
  std::vector<NamedTensor> state_;
  // Without gradients: those are the parameters' own.
  std::vector<UpdateGroup> groups_;
};

}  // namespace mead::train
