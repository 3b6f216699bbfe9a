#include <cuda_runtime_api.h>

#include "worker/train/input/render_jobs.h"

namespace mead::train {
namespace {

// A tile is a part of one picture. Wide, so that a warp writes one row; and more rows, because
// what neighbours read of a turned picture is near in both directions.
constexpr unsigned kTileWidth = 32;
constexpr unsigned kTileHeight = 8;

// One thread per pixel.
__global__ void RenderKernel(const RenderJob* __restrict__ jobs, int side,
                             uint8_t* __restrict__ out) {
  const int x = static_cast<int>(blockIdx.y * kTileWidth + threadIdx.x);
  const int y = static_cast<int>(blockIdx.z * kTileHeight + threadIdx.y);
  if (x >= side || y >= side) return;
  const RenderJob& job = jobs[blockIdx.x];
  const AugmentPlan& plan = job.plan;
  uint8_t* pixel = out + 3 * ((job.place * side + y) * side + x);
  if (Holds(plan.erased, x, y)) {
    for (int c = 0; c < 3; ++c) pixel[c] = ErasedLevel(c);
    return;
  }
  const int place = x % kRun;
  const int32_t in_x = PositionIn(RunOf(plan.xx, plan.xy, plan.x0, x - place, y), place);
  const int32_t in_y = PositionIn(RunOf(plan.yx, plan.yy, plan.y0, x - place, y), place);
  AugmentedPixel(job.source, job.size.width, job.size.height, in_x, in_y, plan.gain, plan.offset,
                 pixel);
}

}  // namespace

int RenderOnGpu(const RenderJob* jobs, int64_t count, int64_t side, uint8_t* out, void* stream) {
  if (count == 0) return 0;
  const auto tiles = [side](unsigned length) {
    return (static_cast<unsigned>(side) + length - 1) / length;
  };
  // Pictures along x, the only dimension of a grid that is long.
  const dim3 grid(static_cast<unsigned>(count), tiles(kTileWidth), tiles(kTileHeight));
  RenderKernel<<<grid, dim3(kTileWidth, kTileHeight), 0, static_cast<cudaStream_t>(stream)>>>(
      jobs, static_cast<int>(side), out);
  return static_cast<int>(cudaGetLastError());
}

}  // namespace mead::train
