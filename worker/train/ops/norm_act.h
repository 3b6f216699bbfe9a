// Batch-norm, then optionally the addition of a residual and ReLU, as one
// differentiable operator.
//
// It goes over memory twice forward (statistics, application) and twice backward
// (sums, application), where the separate operators go six and nine times, and
// keeps for backward its input and, with a residual, one bit per element.
// norm_kernels.h has the formulas.
//
// Shape:  x, residual and the result are [N, C, H, W], channels_last, all of one
//         type: float32, bfloat16 or float64. C is a multiple of 16.
// Memory: the operator owns x: backward writes the gradient over it. Nobody else
//         may use x after the operator, and backward runs once.
// NaN:    passes, as in torch, so that a diverged step is seen. Denormals are zero where
//         the threads flush them; as a bfloat16 result they may be in any case (the
//         conversion of AVX-512 BF16 flushes them).
// Errors: TrainError kInternal (another shape or type, of x, the residual or the layer;
//         no pictures).
#pragma once

#include <optional>

#include "worker/train/tensors.h"

namespace mead::train {

// A batch-norm layer's tensors, [C] each; float32, or float64 for a float64 input.
struct BatchNorm {
  at::Tensor gamma, beta;  // learned
  at::Tensor mean, var;    // running statistics
};

enum class NormStatistics {
  kBatch,           // of the batch, and the running ones take them up (training)
  kBatchUntracked,  // of the batch; the running ones stay as they are
  kRunning,         // the running ones (evaluation, frozen batch-norm)
};

enum class Activation { kNone, kRelu };

at::Tensor NormAct(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics,
                   Activation activation);

// One tensor that goes two ways: into a convolution and past it. Their gradients
// meet inside the operator instead of in an addition of their own.
struct Fork {
  at::Tensor into;
  at::Tensor past;  // the same memory
};

// relu(norm(x) + residual).
Fork NormAddRelu(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics,
                 const at::Tensor& residual);

// max_pool(relu(norm(x))), 3x3, stride 2, padding 1: the stem. What lies between is
// never written.
at::Tensor NormReluPool(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics);

}  // namespace mead::train
