// 2-D convolution without a bias, as one differentiable operator.
//
// LibTorch's, except for the gradients that conv_weights_cpu.h computes faster.
//
// Shape:  x is [N, in, H, W], weight [out, in, K, K]. The weight's gradient is
//         channels_last where the kernels of this folder computed it.
// Errors: LibTorch's.
#pragma once

#include "worker/train/ops/conv_weights_cpu.h"
#include "worker/train/tensors.h"

namespace mead::train {

at::Tensor Convolve(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);

// Whether the weight gradient of the shape is faster here than in oneDNN.
bool ConvWeightsWin(const ConvShape& shape);

}  // namespace mead::train
