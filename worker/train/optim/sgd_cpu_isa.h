// SGD's update of a stretch of one parameter on one thread, in one of several
// instruction sets: sgd_cpu_kernels.cc, and simd/isa.h for the choice.
#pragma once

#include "worker/train/optim/sgd_kernels.h"

namespace mead::train {

struct SgdCpuTable {
  const char* isa;
  // Stretches may begin and end anywhere. rate: the learning rate.
  void (*update)(const SgdTensor& stretch, SgdSettings settings, float rate);
};

MEAD_DECLARE_TABLES(SgdCpuTable, kSgdCpu);

}  // namespace mead::train
