// Layer-wise adaptive rate scaling, for large batches.
//
//   ratio = trust_coefficient |w| / (|g| + weight_decay |w|)
//   v = momentum v + rate ratio (g + weight_decay w);   w = w - v
//
// Source: You, Gitman and Ginsburg 2017, algorithm 1, with the rate inside the
//         momentum as there, and with the exceptions of MLPerf's ResNet reference
//         (layerwise.h). Nesterov's form as that reference has it.
#include "worker/train/optim/layerwise.h"
#include "worker/train/optim/sgd_update.h"

namespace mead::train {
namespace {

class Lars final : public UpdateRule {
 public:
  explicit Lars(const OptimizerOptions& options) : options_(options) {}

  std::vector<std::string> state_names() const override {
    if (options_.momentum == 0) return {};
    return {"momentum"};
  }

  void Update(const UpdateGroup& group) const override {
    const Layers layers = SplitLayers(group);
    if (!layers.adapted.parameters.empty()) Move(layers.adapted, AdaptedSteps(layers.adapted));
    if (!layers.plain.parameters.empty()) {
      Move(layers.plain, at::_foreach_mul(layers.plain.gradients, group.rate));
    }
  }

 private:
  // rate ratio (g + weight_decay w) of each parameter.
  std::vector<at::Tensor> AdaptedSteps(const UpdateGroup& group) const {
    const at::Tensor weights = Norms(group.parameters);   // [n]
    const at::Tensor gradients = Norms(group.gradients);  // [n]
    const at::Tensor ratios = TrustRatios(weights * options_.trust_coefficient,
                                          gradients + weights * options_.weight_decay, weights,
                                          gradients);  // [n]
    std::vector<at::Tensor> steps =
        at::_foreach_add(group.gradients, group.parameters, options_.weight_decay);
    ScaleEach(steps, ratios * group.rate);
    return steps;
  }

  // Momentum and update: SGD at rate 1, since the steps have their rates in them.
  void Move(const UpdateGroup& group, const std::vector<at::Tensor>& steps) const {
    SgdUpdate(group, steps, /*rate=*/{},
              {.momentum = options_.momentum, .nesterov = options_.nesterov});
  }

  OptimizerOptions options_;
};

}  // namespace

std::unique_ptr<UpdateRule> MakeLars(const OptimizerOptions& options) {
  return std::make_unique<Lars>(options);
}

}  // namespace mead::train
