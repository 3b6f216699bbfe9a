// Renders a batch's augmented pictures from decoded ones that lie on the same device.
//
// Shape:  out is [places, side, side, 3], uint8, RGB; a job writes its place and no other.
// Source: common/augment/augment_math.h; CPU and GPU give the same bytes.
#pragma once

#include <cstdint>

#include "common/augment/augment_plan.h"

namespace mead::train {

struct RenderJob {
  const uint8_t* source = nullptr;  // [size.height, size.width, 3], uint8, RGB
  PictureSize size;
  AugmentPlan plan;
  int64_t place = 0;
};

// threads are LibTorch's.
void RenderOnCpu(const RenderJob* jobs, int64_t count, int64_t side, uint8_t* out);

#ifdef MEAD_HAVE_CUDA
// jobs, their sources and out: on the current device; stream: a cudaStream_t. Does not wait.
// Errors: returns the cudaError_t of the launch (0: none).
int RenderOnGpu(const RenderJob* jobs, int64_t count, int64_t side, uint8_t* out, void* stream);
#endif

}  // namespace mead::train
