#include <cuda_runtime_api.h>

#include "worker/train/input/mix_batch.h"

namespace mead::train {
namespace {

constexpr unsigned kThreads = 256;

// One thread per pixel. Pictures along x, the only dimension of a grid that is long.
__global__ void MixKernel(const uint8_t* __restrict__ pictures,
                          const int32_t* __restrict__ partners, MixPlan plan, int side,
                          uint8_t* __restrict__ out) {
  const int pixel = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  if (pixel >= side * side) return;
  const int64_t picture_bytes = int64_t{3} * side * side;
  const int64_t own = blockIdx.x * picture_bytes + 3 * pixel;
  const int64_t partner = partners[blockIdx.x] * picture_bytes + 3 * pixel;
  const bool shared = Holds(plan.box, pixel % side, pixel / side);
  for (int c = 0; c < 3; ++c) {
    out[own + c] = shared ? static_cast<uint8_t>(Mixed(pictures[own + c], pictures[partner + c],
                                                       plan.partner_weight))
                          : pictures[own + c];
  }
}

}  // namespace

int MixOnGpu(const uint8_t* pictures, const int32_t* partners, const MixPlan& plan, int64_t n,
             int64_t side, uint8_t* out, void* stream) {
  if (n == 0) return 0;
  const auto blocks = static_cast<unsigned>((side * side + kThreads - 1) / kThreads);
  MixKernel<<<dim3(static_cast<unsigned>(n), blocks), kThreads, 0,
              static_cast<cudaStream_t>(stream)>>>(pictures, partners, plan, static_cast<int>(side),
                                                   out);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace mead::train
