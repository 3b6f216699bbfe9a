// Stochastic gradient descent with momentum, Nesterov's or the plain one.
//
// Source: torch.optim.SGD with dampening 0.
#include "worker/train/optim/sgd_update.h"

namespace mead::train {
namespace {

class Sgd final : public UpdateRule {
 public:
  explicit Sgd(const OptimizerOptions& options) : options_(options) {}

  std::vector<std::string> state_names() const override {
    if (options_.momentum == 0) return {};
    return {"momentum"};
  }

  // With dampening 0 the first step from zeros is PyTorch's "momentum = gradient".
  void Update(const UpdateGroup& group) const override {
    SgdUpdate(group, group.gradients, group.rate,
              {.weight_decay = options_.weight_decay,
               .momentum = options_.momentum,
               .nesterov = options_.nesterov});
  }

 private:
  OptimizerOptions options_;
};

}  // namespace

std::unique_ptr<UpdateRule> MakeSgd(const OptimizerOptions& options) {
  return std::make_unique<Sgd>(options);
}

}  // namespace mead::train
