// Two sums per channel over all rows, in one launch and with the same bits every time.
//
// On a SumGrid each thread sums its eight channels over its rows in registers; a block
// adds its threads' sums and leaves them in scratch memory; the last block of a strip to
// get there (a ticket says which) adds the blocks' sums, in double and in the order of
// the blocks, however they finished.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "worker/train/ops/channel_group.cuh"
#include "worker/train/ops/row_grid.cuh"

namespace mead::train {

// Layout of scratch memory. Tickets keep their place whatever the shape, so that layers
// can share it.
struct SumScratch {
  static constexpr int64_t kMaxStrips = 4096;

  static size_t Bytes(int64_t channels) {
    return kMaxStrips * sizeof(unsigned) +
           static_cast<size_t>(std::max(SumGrid::kMaxBlocks * SumGrid::kStripChannels, channels)) *
               2 * sizeof(double);
  }

  unsigned* tickets;  // [kMaxStrips], zero between launches
  void* partials;     // [strips, blocks, 2, strip channels], A

  explicit SumScratch(void* scratch)
      : tickets(static_cast<unsigned*>(scratch)), partials(tickets + kMaxStrips) {}
};

using StripTotals = double[2][SumGrid::kStripChannels];

// Adds first and second (a thread's sums, [8 channels] each) over all threads of the
// strip. All threads of all blocks must call it. True, in all threads, for the one block
// per strip that then finds the sums in totals.
template <typename A>
__device__ bool SumStrip(A (&first)[kGroupChannels], A (&second)[kGroupChannels],
                         SumScratch scratch, StripTotals& totals) {
  constexpr unsigned kThreads = SumGrid::kThreads;
  constexpr unsigned kWarp = 32;
  constexpr unsigned kWarps = kThreads / kWarp;
  __shared__ A of_warp[kWarps][2 * SumGrid::kStripChannels];
  __shared__ double of_slice[kThreads];
  __shared__ bool is_last;
  const unsigned thread = threadIdx.y * blockDim.x + threadIdx.x;
  const unsigned channels = blockDim.x * kGroupChannels;  // of the strip
  const unsigned values = 2 * channels;

  // Lanes of a warp with the same channels are blockDim.x (1, 2, 4 or 8) apart.
  for (unsigned distance = kWarp / 2; distance >= blockDim.x; distance /= 2) {
#pragma unroll
    for (int i = 0; i < kGroupChannels; ++i) {
      first[i] += __shfl_xor_sync(0xffffffffU, first[i], distance);
      second[i] += __shfl_xor_sync(0xffffffffU, second[i], distance);
    }
  }
  if (thread % kWarp < blockDim.x) {
#pragma unroll
    for (unsigned i = 0; i < kGroupChannels; ++i) {
      of_warp[thread / kWarp][threadIdx.x * kGroupChannels + i] = first[i];
      of_warp[thread / kWarp][channels + threadIdx.x * kGroupChannels + i] = second[i];
    }
  }
  __syncthreads();
  A* partials =
      static_cast<A*>(scratch.partials) + static_cast<int64_t>(blockIdx.x) * gridDim.y * values;
  if (thread < values) {
    A sum = 0;
#pragma unroll
    for (unsigned warp = 0; warp < kWarps; ++warp) sum += of_warp[warp][thread];
    __stcg(partials + static_cast<int64_t>(blockIdx.y) * values + thread, sum);
  }
  __threadfence();  // the partial sums before the ticket
  __syncthreads();
  if (thread == 0) is_last = atomicAdd(scratch.tickets + blockIdx.x, 1U) == gridDim.y - 1;
  __syncthreads();
  if (!is_last) return false;
  __threadfence();  // the ticket before the others' partial sums

  const unsigned slices = kThreads / values;  // 4 or more
  const unsigned value = thread % values;
  double sum = 0;
#pragma unroll 8
  for (unsigned block = thread / values; block < gridDim.y; block += slices) {
    sum += static_cast<double>(__ldcg(partials + static_cast<int64_t>(block) * values + value));
  }
  of_slice[thread] = sum;
  __syncthreads();
  if (thread < values) {
    double total = 0;
    for (unsigned slice = 0; slice < slices; ++slice) total += of_slice[slice * values + thread];
    totals[thread / channels][thread % channels] = total;
  }
  if (thread == 0) scratch.tickets[blockIdx.x] = 0;
  __syncthreads();
  return true;
}

}  // namespace mead::train
