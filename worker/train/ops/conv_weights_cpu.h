// The gradient of a convolution's weight on the CPU, in bfloat16, where it is faster
// than LibTorch's.
//
// oneDNN's weight gradient reaches two thirds of what the machine's bfloat16
// arithmetic does without matrix tiles (AMX), and comes out in a layout that is then
// copied into channels_last. conv_weights_isa.h says how this one goes.
//
// Sums are float32 and rounded once. What is summed together depends on the shape
// alone, so results do not depend on the number of threads.
// Thread: any; memory is the caller's. Work is spread over LibTorch's threads.
#pragma once

#include <c10/util/BFloat16.h>

#include "worker/train/ops/conv_weights_isa.h"
#include "worker/train/simd/isa.h"

namespace mead::train {

// Null where LibTorch's own is to be taken.
const ConvWeightsKernels* ChooseConvWeights(CpuIsa isa);
const ConvWeightsKernels* ActiveConvWeights();

// Whether the kernels can compute the shape.
bool ConvWeightsSupported(const ConvShape& shape);

// x: [n, in_h, in_w, in_c]. dy: [n, out_h, out_w, out_c]. Writes dw: [out_c, kernel,
// kernel, in_c].
void ConvWeightsOnCpu(const ConvWeightsKernels& kernels, const c10::BFloat16* x,
                      const c10::BFloat16* dy, const ConvShape& shape, c10::BFloat16* dw);

}  // namespace mead::train
