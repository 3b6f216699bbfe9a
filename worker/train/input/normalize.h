// Turns decoded pictures into the network's input: uint8 RGB to normalised float
// or bfloat16.
//
// Shape:  [N, H, W, 3] in and out. As a tensor the output is [N, 3, H, W] in
//         channels_last order, so nothing moves: one pass, element by element.
// Source: torchvision's ImageNet weights: x / 255, mean .485 .456 .406,
//         deviation .229 .224 .225.
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>

#include "common/base/host_device.h"

namespace mead::train {

// The arithmetic, one text for CPU and GPU. Divisions are correctly rounded on
// both and there is no product for a compiler to fuse with a sum, so both give
// the same bits.
template <typename Out>
MEAD_HOST_DEVICE inline Out NormalizedPixel(uint8_t value, int channel) {
  constexpr float kMean[3] = {0.485F, 0.456F, 0.406F};
  constexpr float kDeviation[3] = {0.229F, 0.224F, 0.225F};
  return static_cast<Out>((static_cast<float>(value) / 255.0F - kMean[channel]) /
                          kDeviation[channel]);
}

// count: N * H * W * 3, in elements. threads are LibTorch's.
void NormalizeOnCpu(const uint8_t* pixels, float* out, int64_t count);
void NormalizeOnCpu(const uint8_t* pixels, c10::BFloat16* out, int64_t count);

#ifdef MEAD_HAVE_CUDA
// All pointers on the current device; stream: a cudaStream_t. Does not wait.
// Errors: returns the cudaError_t of the launch (0: none).
int NormalizeOnGpu(const uint8_t* pixels, float* out, int64_t count, void* stream);
int NormalizeOnGpu(const uint8_t* pixels, c10::BFloat16* out, int64_t count, void* stream);
#endif

}  // namespace mead::train
