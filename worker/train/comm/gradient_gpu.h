// TakeGradient on a GPU.
//
// Thread: any. Nothing waits, allocates or reads back, so a CUDA graph can hold it.
// Errors: returns the cudaError_t of the launch (0: none).
#pragma once

#include <cstdint>

#include "worker/train/simd/tables.h"

namespace mead::train {

// All pointers are the device's. stream: a cudaStream_t.
int TakeGradientOnGpu(const float* from, int64_t size, bool add, float* to, float* not_finite,
                      void* stream);
int TakeGradientOnGpu(const Bf16Storage* from, int64_t size, bool add, float* to, float* not_finite,
                      void* stream);

}  // namespace mead::train
