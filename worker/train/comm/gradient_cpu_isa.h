// TakeGradient of a stretch on one thread, in one of several instruction sets:
// gradient_cpu_kernels.cc, and simd/isa.h for the choice.
#pragma once

#include <cstdint>

#include "worker/train/simd/tables.h"

namespace mead::train {

// Each writes from[i], or to[i] + from[i], to to[i] for i in [0, size), and returns
// whether all of them are finite then. Stretches may begin and end anywhere.
struct GradientCpuTable {
  const char* isa;
  bool (*take_fp32)(const float* from, int64_t size, bool add, float* to);
  bool (*take_bf16)(const Bf16Storage* from, int64_t size, bool add, float* to);
};

MEAD_DECLARE_TABLES(GradientCpuTable, kGradientCpu);

}  // namespace mead::train
