#include "worker/train/optim/clip.h"

namespace mead::train {

at::Tensor GradNorm(const std::vector<at::Tensor>& gradients) {
  at::NoGradGuard no_grad;
  return at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients)));
}

at::Tensor ClipGradNorm(const std::vector<at::Tensor>& gradients, double max_norm) {
  at::NoGradGuard no_grad;
  const at::Tensor norm = GradNorm(gradients);
  // Always multiplied, also by 1: to branch on the norm would wait for the device.
  at::_foreach_mul_(gradients, at::clamp_max(max_norm / (norm + 1e-6), 1));
  return norm;
}

}  // namespace mead::train
