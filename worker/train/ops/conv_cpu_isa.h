// When the convolution kernels of this folder are taken on a CPU.
#pragma once

#include "worker/train/simd/isa.h"

namespace mead::train {

// Whether this processor multiplies bfloat16 in vectors, which `isa` lets it use, and has
// nothing better: with matrix tiles (AMX) oneDNN is well ahead.
bool OwnConvolutionsWin(CpuIsa isa);

}  // namespace mead::train
