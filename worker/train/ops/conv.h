// 2-D convolution without a bias, as one differentiable operator.
//
// LibTorch's, except for what conv_winograd_cpu.h, conv_pointwise_cpu.h and
// conv_weights_cpu.h compute faster.
//
// Shape:  x is [N, in, H, W], weight [out, in, K, K]. The weight's gradient is
//         channels_last where the kernels of this folder computed it.
// Errors: LibTorch's.
#pragma once

#include "worker/train/tensors.h"

namespace mead::train {

at::Tensor Convolve(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding);

}  // namespace mead::train
