// Limits the length of the whole gradient, so that one bad batch cannot throw the
// weights away.
//
// Source: torch.nn.utils.clip_grad_norm_ (2-norm, error_if_nonfinite false).
#pragma once

#include <vector>

#include "worker/train/tensors.h"

namespace mead::train {

// The Euclidean norm of all gradients together: [], float32, on their device;
// nothing waits for it. gradients: one or more.
at::Tensor GradNorm(const std::vector<at::Tensor>& gradients);

// Scales all gradients by min(1, max_norm / (norm + 1e-6)), where norm is that of
// all of them together, before the scaling. Returns the norm: [], float32, on
// their device; nothing waits for it. A norm that is not finite makes the
// gradients useless: tell the optimizer by found_inf.
// gradients: one or more, after the all-reduce; max_norm: > 0.
at::Tensor ClipGradNorm(const std::vector<at::Tensor>& gradients, double max_norm);

}  // namespace mead::train
