// SgdUpdate on the CPU, over LibTorch's threads.
#pragma once

#include <vector>

#include "worker/train/optim/sgd_cpu_isa.h"
#include "worker/train/simd/isa.h"

namespace mead::train {

inline constexpr PerIsa<SgdCpuTable> kSgdCpuTables = MEAD_TABLES(kSgdCpu);

void SgdUpdateOnCpu(const std::vector<SgdTensor>& tensors, SgdSettings settings, float rate);

}  // namespace mead::train
