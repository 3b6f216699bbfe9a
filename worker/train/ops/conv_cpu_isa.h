// When the convolution kernels of this folder are taken on a CPU.
#pragma once

#include <string_view>

namespace mead::train {

// Whether this processor multiplies bfloat16 in vectors and has nothing better:
// with matrix tiles (AMX) oneDNN is well ahead. capability is LibTorch's
// (at::get_cpu_capability(), which ATEN_CPU_CAPABILITY forces down).
bool OwnConvolutionsWin(std::string_view capability);

}  // namespace mead::train
