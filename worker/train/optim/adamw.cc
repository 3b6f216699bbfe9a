// Adam with decoupled weight decay.
//
// Source: Loshchilov and Hutter 2019, algorithm 2; torch.optim.AdamW.
#include "worker/train/optim/update_rule.h"

namespace mead::train {
namespace {

class AdamW final : public UpdateRule {
 public:
  explicit AdamW(const OptimizerOptions& options) : options_(options) {}

  std::vector<std::string> state_names() const override { return {"exp_avg", "exp_avg_sq"}; }
  bool counts_steps() const override { return true; }

  void Update(const UpdateGroup& group) const override {
    const std::vector<at::Tensor> steps(group.parameters.size(), group.steps);
    at::_fused_adamw_(group.parameters, group.gradients, group.state[0], group.state[1],
                      /*max_exp_avg_sqs=*/{}, steps, group.rate, options_.beta1, options_.beta2,
                      options_.weight_decay, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false, /*grad_scale=*/{}, group.skip());
    group.WriteCopies();
  }

 private:
  OptimizerOptions options_;
};

}  // namespace

std::unique_ptr<UpdateRule> MakeAdamW(const OptimizerOptions& options) {
  return std::make_unique<AdamW>(options);
}

}  // namespace mead::train
