// Adam with layer-wise adaptive rates, for large batches.
//
//   r = Adam's step from g (bias-corrected);   u = r + weight_decay w
//   w = w - rate |w| / |u| u
//
// Source: You et al. 2020, algorithm 2 with phi the identity; biases and
//         batch-norm parameters take Adam's step (layerwise.h).
#include "worker/train/optim/layerwise.h"
#include "worker/train/optim/sgd_update.h"

namespace mead::train {
namespace {

class Lamb final : public UpdateRule {
 public:
  explicit Lamb(const OptimizerOptions& options) : options_(options) {}

  std::vector<std::string> state_names() const override { return {"exp_avg", "exp_avg_sq"}; }
  bool counts_steps() const override { return true; }

  void Update(const UpdateGroup& group) const override {
    const Layers layers = SplitLayers(group);
    if (!layers.adapted.parameters.empty()) MoveAdapted(layers.adapted);
    if (!layers.plain.parameters.empty()) {
      Adam(layers.plain.parameters, layers.plain, group.rate);
      layers.plain.WriteCopies();
    }
  }

 private:
  // rate: a number, or a tensor [].
  void Adam(const std::vector<at::Tensor>& targets, const UpdateGroup& group,
            const auto& rate) const {
    const std::vector<at::Tensor> steps(targets.size(), group.steps);
    at::_fused_adamw_(targets, group.gradients, group.state[0], group.state[1],
                      /*max_exp_avg_sqs=*/{}, steps, rate, options_.beta1, options_.beta2,
                      /*weight_decay=*/0, options_.epsilon, /*amsgrad=*/false,
                      /*maximize=*/false, /*grad_scale=*/{}, group.skip());
  }

  void MoveAdapted(const UpdateGroup& group) const {
    std::vector<at::Tensor> updates;
    updates.reserve(group.parameters.size());
    for (const at::Tensor& parameter : group.parameters) {
      updates.push_back(at::zeros_like(parameter));
    }
    // Adam from 0 at rate -1 leaves its step there.
    Adam(updates, group, -1.0);
    at::_foreach_add_(updates, group.parameters, options_.weight_decay);
    const at::Tensor weight_norms = Norms(group.parameters);  // [n]
    const at::Tensor update_norms = Norms(updates);           // [n]
    ScaleEach(updates,
              TrustRatios(weight_norms, update_norms, weight_norms, update_norms) * group.rate);
    // A subtraction that heeds found_inf.
    SgdUpdate(group, updates, /*rate=*/{}, /*settings=*/{});
  }

  OptimizerOptions options_;
};

}  // namespace

std::unique_ptr<UpdateRule> MakeLamb(const OptimizerOptions& options) {
  return std::make_unique<Lamb>(options);
}

}  // namespace mead::train
