#include <cuda_runtime_api.h>

#include <algorithm>

#include "worker/train/input/normalize.h"

namespace mead::train {
namespace {

template <typename Out>
__global__ void NormalizeKernel(const uint8_t* __restrict__ pixels, Out* __restrict__ out,
                                int64_t count) {
  const int64_t stride = static_cast<int64_t>(gridDim.x) * blockDim.x;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x; i < count;
       i += stride) {
    out[i] = NormalizedPixel<Out>(pixels[i], static_cast<int>(i % 3));
  }
}

template <typename Out>
int Launch(const uint8_t* pixels, Out* out, int64_t count, void* stream) {
  if (count == 0) return 0;
  constexpr int64_t kThreads = 256;
  constexpr int64_t kMaxBlocks = 4096;  // enough for any GPU; the loop does the rest
  const int64_t blocks = std::min((count + kThreads - 1) / kThreads, kMaxBlocks);
  NormalizeKernel<Out><<<static_cast<unsigned>(blocks), static_cast<unsigned>(kThreads), 0,
                         static_cast<cudaStream_t>(stream)>>>(pixels, out, count);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace

int NormalizeOnGpu(const uint8_t* pixels, float* out, int64_t count, void* stream) {
  return Launch(pixels, out, count, stream);
}

int NormalizeOnGpu(const uint8_t* pixels, c10::BFloat16* out, int64_t count, void* stream) {
  return Launch(pixels, out, count, stream);
}

}  // namespace mead::train
