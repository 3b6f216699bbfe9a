#include "worker/train/ops/conv_cpu_isa.h"

namespace mead::train {

bool OwnConvolutionsWin(CpuIsa isa) {
#if defined(__x86_64__)
  return isa == CpuIsa::kAvx512Bf16 && !__builtin_cpu_supports("amx-bf16");
#else
  static_cast<void>(isa);
  return false;
#endif
}

}  // namespace mead::train
