#include "worker/train/simd/isa.h"

#include <ATen/Version.h>

#include <string>

namespace mead::train {

bool CpuHas(CpuIsa isa) {
#if defined(__x86_64__)
  const bool avx512 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  switch (isa) {
    case CpuIsa::kPortable:
      return true;
    case CpuIsa::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    case CpuIsa::kAvx512:
      return avx512;
    case CpuIsa::kAvx512Bf16:
      return avx512 && __builtin_cpu_supports("avx512bf16");
  }
#endif
  return isa == CpuIsa::kPortable;
}

CpuIsa ActiveCpuIsa() {
  static const CpuIsa active = [] {
    const std::string capability = at::get_cpu_capability();
    if (capability == "AVX512") {
      return CpuHas(CpuIsa::kAvx512Bf16) ? CpuIsa::kAvx512Bf16 : CpuIsa::kAvx512;
    }
    return capability == "AVX2" ? CpuIsa::kAvx2 : CpuIsa::kPortable;
  }();
  return active;
}

}  // namespace mead::train
