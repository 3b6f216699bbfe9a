// Stochastic gradient descent with momentum, Nesterov's or the plain one.
//
// Source: torch.optim.SGD with dampening 0.
#include "worker/train/optim/update_rule.h"

namespace mead::train {
namespace {

class Sgd final : public UpdateRule {
 public:
  explicit Sgd(const OptimizerOptions& options) : options_(options) {}

  std::vector<std::string> state_names() const override {
    if (options_.momentum == 0) return {};
    return {"momentum"};
  }

  void Update(const UpdateGroup& group) const override {
    // With dampening 0 the first step from zeros is PyTorch's "momentum = gradient".
    at::_fused_sgd_(group.parameters, group.gradients,
                    group.state.empty() ? at::TensorList() : group.state[0], options_.weight_decay,
                    options_.momentum, group.rate, /*dampening=*/0,
                    options_.momentum != 0 && options_.nesterov, /*maximize=*/false,
                    /*is_first_step=*/false, /*grad_scale=*/{}, group.skip());
  }

 private:
  OptimizerOptions options_;
};

}  // namespace

std::unique_ptr<UpdateRule> MakeSgd(const OptimizerOptions& options) {
  return std::make_unique<Sgd>(options);
}

}  // namespace mead::train
