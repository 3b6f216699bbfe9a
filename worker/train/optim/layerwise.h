// What LARS and LAMB share: a rate of its own for each layer, from the sizes of
// its weights and of its update.
#pragma once

#include <vector>

#include "worker/train/optim/update_rule.h"

namespace mead::train {

// Biases and batch-norm parameters (all that have one dimension) are neither
// adapted nor decayed: their norms say nothing about a layer's scale.
struct Layers {
  UpdateGroup adapted;
  UpdateGroup plain;
};
Layers SplitLayers(const UpdateGroup& group);

// The Euclidean norm of each tensor: [n], float32.
at::Tensor Norms(const std::vector<at::Tensor>& tensors);

// numerator / denominator, and 1 where a layer's weights or its update are all zero,
// so that it can leave that state. All [n].
at::Tensor TrustRatios(const at::Tensor& numerator, const at::Tensor& denominator,
                       const at::Tensor& weight_norms, const at::Tensor& update_norms);

// updates[i] *= rates[i]; rates: [n].
void ScaleEach(std::vector<at::Tensor>& updates, const at::Tensor& rates);

}  // namespace mead::train
