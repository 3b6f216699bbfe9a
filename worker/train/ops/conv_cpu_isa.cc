#include "worker/train/ops/conv_cpu_isa.h"

namespace mead::train {

bool OwnConvolutionsWin(std::string_view capability) {
#if defined(__x86_64__)
  return capability == "AVX512" && __builtin_cpu_supports("avx512bf16") &&
         !__builtin_cpu_supports("amx-bf16");
#else
  static_cast<void>(capability);
  return false;
#endif
}

}  // namespace mead::train
