// SgdUpdate on a GPU: all parameters in one launch.
//
// Thread: any. Nothing waits, allocates or reads back, so a CUDA graph can hold it.
// Errors: returns the cudaError_t of the launch (0: none).
#pragma once

#include <cstdint>

#include "worker/train/optim/sgd_kernels.h"

namespace mead::train {

// tensors: `count` of them, on the host; what they point at is on the device. rate,
// found_inf: one number each on the device, or null: 1, and never. stream: a
// cudaStream_t.
int SgdUpdateOnGpu(const SgdTensor* tensors, int64_t count, SgdSettings settings, const float* rate,
                   const float* found_inf, void* stream);

}  // namespace mead::train
