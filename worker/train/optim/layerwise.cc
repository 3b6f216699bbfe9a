#include "worker/train/optim/layerwise.h"

namespace mead::train {

Layers SplitLayers(const UpdateGroup& group) {
  const auto adapted = [&](size_t i) { return group.parameters[i].dim() > 1; };
  return {.adapted = group.Where(adapted), .plain = group.Where(std::not_fn(adapted))};
}

at::Tensor Norms(const std::vector<at::Tensor>& tensors) {
  return at::stack(at::_foreach_norm(tensors));
}

at::Tensor TrustRatios(const at::Tensor& numerator, const at::Tensor& denominator,
                       const at::Tensor& weight_norms, const at::Tensor& update_norms) {
  const at::Tensor both = weight_norms.gt(0).logical_and_(update_norms.gt(0));  // [n], bool
  return at::where(both, numerator / denominator, 1.0F);
}

void ScaleEach(std::vector<at::Tensor>& updates, const at::Tensor& rates) {
  at::_foreach_mul_(updates, rates.unbind());
}

}  // namespace mead::train
