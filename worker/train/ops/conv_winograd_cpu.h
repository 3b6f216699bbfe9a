// 3x3 convolutions on the CPU in bfloat16 with 2.25 times fewer multiplications.
//
// Winograd's F(2x2, 3x3), see conv_winograd_isa.h, for the result and both gradients.
// On processors without matrix tiles the multiplications of oneDNN's convolutions are
// all the time there is: they run at nine tenths of the arithmetic's peak.
//
// What is multiplied is rounded to bfloat16 after the transform, so that results are
// within half a percent of the exact ones (the root of the mean square; plain bfloat16
// with one rounding: a fifth of a percent). Sums are float32; what is summed together
// depends on the shape alone, so results do not depend on the number of threads.
// Thread: any; memory is the caller's. Work is spread over LibTorch's threads.
#pragma once

#include <c10/util/BFloat16.h>

#include "worker/train/ops/conv_shape.h"
#include "worker/train/ops/conv_winograd_isa.h"
#include "worker/train/simd/isa.h"

namespace mead::train {

// Null where LibTorch's convolutions are to be taken.
const WinogradKernels* ChooseWinograd(CpuIsa isa);
const WinogradKernels* ActiveWinograd();

// Whether the kernels can compute the shape.
bool WinogradSupported(const ConvShape& shape);
// Whether there are pictures enough to make up for transforming the weight.
bool WinogradWins(const ConvShape& shape);

// x, dx: [n, h, w, in_c]. y, dy: [n, h, w, out_c]. weight, dw: [out_c, 3, 3, in_c].
void WinogradForward(const WinogradKernels& kernels, const c10::BFloat16* x,
                     const c10::BFloat16* weight, const ConvShape& shape, c10::BFloat16* y);
void WinogradInputGradient(const WinogradKernels& kernels, const c10::BFloat16* dy,
                           const c10::BFloat16* weight, const ConvShape& shape, c10::BFloat16* dx);
void WinogradWeightGradient(const WinogradKernels& kernels, const c10::BFloat16* x,
                            const c10::BFloat16* dy, const ConvShape& shape, c10::BFloat16* dw);

}  // namespace mead::train
