// 1x1 convolutions on the CPU in bfloat16, where it is faster than LibTorch's.
//
// With many channels oneDNN's reach nine tenths of the arithmetic that the plain
// product here reaches: it reorders the weight in every call, and with a stride its
// gradient of the input goes through a picture of zeros.
//
// Sums are float32 and rounded once; results do not depend on the number of threads.
// Thread: any; memory is the caller's. Work is spread over LibTorch's threads.
#pragma once

#include <c10/util/BFloat16.h>

#include "worker/train/ops/conv_pointwise_isa.h"
#include "worker/train/ops/conv_shape.h"
#include "worker/train/simd/isa.h"

namespace mead::train {

// Null where LibTorch's convolutions are to be taken.
const PointwiseKernels* ChoosePointwise(CpuIsa isa);
const PointwiseKernels* ActivePointwise();

// Whether the kernels can compute the shape.
bool PointwiseSupported(const ConvShape& shape);
// Whether there are pixels enough to be faster than oneDNN.
bool PointwiseWins(const ConvShape& shape);

// x, dx: [n, in_h, in_w, in_c]. y, dy: [n, out_h, out_w, out_c]. weight: [out_c, in_c].
void PointwiseForward(const PointwiseKernels& kernels, const c10::BFloat16* x,
                      const c10::BFloat16* weight, const ConvShape& shape, c10::BFloat16* y);
void PointwiseInputGradient(const PointwiseKernels& kernels, const c10::BFloat16* dy,
                            const c10::BFloat16* weight, const ConvShape& shape, c10::BFloat16* dx);

}  // namespace mead::train
