#include <cuda_runtime_api.h>

#include "worker/train/ops/channel_group.cuh"
#include "worker/train/ops/norm_channels.cuh"
#include "worker/train/ops/norm_math.h"
#include "worker/train/ops/pool_norm_gpu.h"
#include "worker/train/ops/row_grid.cuh"
#include "worker/train/ops/strip_sums.cuh"

namespace mead::train {
namespace {

// x and y in groups of channels. Indices of rows fit 32 bits (Valid), of groups may not.
struct Geometry {
  int height, width;                // of x
  int pooled_height, pooled_width;  // of y
  unsigned pooled_rows;             // images * pooled_height * pooled_width
  int groups;

  explicit Geometry(PoolNormShape shape)
      : height(static_cast<int>(shape.height)),
        width(static_cast<int>(shape.width)),
        pooled_height((height + 1) / 2),
        pooled_width((width + 1) / 2),
        pooled_rows(static_cast<unsigned>(shape.images * pooled_height * pooled_width)),
        groups(static_cast<int>(shape.channels / kGroupChannels)) {}
};

// An element of y; and the 2x2 elements of x from (2 * row, 2 * column), of which each
// belongs to one of them.
struct Pooled {
  int image, row, column;

  __device__ Pooled(const Geometry& g, unsigned index) {
    const unsigned line = index / static_cast<unsigned>(g.pooled_width);
    column = static_cast<int>(index - line * static_cast<unsigned>(g.pooled_width));
    image = static_cast<int>(line / static_cast<unsigned>(g.pooled_height));
    row = static_cast<int>(line) - image * g.pooled_height;
  }
};

// Where in x, in groups, without the group of channels itself.
__device__ __forceinline__ int64_t IndexInX(const Geometry& g, int image, int row, int column) {
  return ((static_cast<int64_t>(image) * g.height + row) * g.width + column) * g.groups;
}

// Rows from last to first, as in norm_gpu.cu.
template <typename T>
__global__ void __launch_bounds__(RowGrid::kThreads)
    PoolApplyKernel(const T* __restrict__ x, Geometry g,
                    NormCoefficients<NormAccumulate<T>> coefficients, T* __restrict__ y,
                    uint8_t* __restrict__ winner, int64_t tiles) {
  using A = NormAccumulate<T>;
  const int group = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  NormForward<A> forward[kGroupChannels];
  LoadForward(coefficients, group, forward);

  int64_t index = (gridDim.y - 1 - blockIdx.y) * tiles * blockDim.y + threadIdx.y;
  for (int64_t tile = 0; tile < tiles && index < g.pooled_rows; ++tile, index += blockDim.y) {
    const Pooled at(g, static_cast<unsigned>(index));
    ChannelGroup<T> window[9];
    bool inside[9];
#pragma unroll
    for (int k = 0; k < 9; ++k) {
      const int row = 2 * at.row - 1 + k / 3;
      const int column = 2 * at.column - 1 + k % 3;
      inside[k] = row >= 0 && row < g.height && column >= 0 && column < g.width;
      if (inside[k]) {
        window[k] = LoadGroup<Reuse::kSoon>(x, IndexInX(g, at.image, row, column) + group);
      }
    }
    A best[kGroupChannels] = {};  // ReLU: nothing below 0 wins
    unsigned winners[kGroupChannels];
#pragma unroll
    for (int c = 0; c < kGroupChannels; ++c) winners[c] = kNoWinner;
#pragma unroll
    for (int k = 0; k < 9; ++k) {
      if (!inside[k]) continue;
      A z[kGroupChannels];
      Unpack<T>(window[k], z);
#pragma unroll
      for (int c = 0; c < kGroupChannels; ++c) {
        z[c] = forward[c](z[c]);
        if (z[c] > best[c] || z[c] != z[c]) {  // NaN wins, and is seen
          best[c] = z[c];
          winners[c] = k;
        }
      }
    }
    const int64_t to = index * g.groups + group;
    StoreGroup<Reuse::kSoon>(y, to, Pack<T>(best));
    if (winner != nullptr) {
      uint2 packed = {0, 0};
#pragma unroll
      for (int c = 0; c < 4; ++c) {
        packed.x |= winners[c] << (8 * c);
        packed.y |= winners[c + 4] << (8 * c);
      }
      __stcs(reinterpret_cast<uint2*>(winner) + to, packed);
    }
  }
}

// Gradients of the four windows that reach into a 2x2 square of x: its own, the next in
// the row, and the two below. Each is loaded by four threads, from memory once.
template <typename T>
struct WindowGradients {
  ChannelGroup<T> dy[4];
  uint2 winners[4];

  __device__ __forceinline__ void Load(const T* gradient, const uint8_t* winner, const Geometry& g,
                                       const Pooled& at, int64_t index, int group) {
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      winners[w] = {0xffffffffU, 0xffffffffU};
      if (at.row + w / 2 >= g.pooled_height || at.column + w % 2 >= g.pooled_width) continue;
      const int64_t from = (index + (w / 2) * g.pooled_width + w % 2) * g.groups + group;
      dy[w] = LoadGroup<Reuse::kSoon>(gradient, from);
      winners[w] = __ldg(reinterpret_cast<const uint2*>(winner) + from);
    }
  }

  // dz of the square's element (row, column), each 0 or 1.
  template <int row, int column>
  __device__ __forceinline__ void Sum(NormAccumulate<T> (&dz)[kGroupChannels]) const {
#pragma unroll
    for (int c = 0; c < kGroupChannels; ++c) dz[c] = 0;
#pragma unroll
    for (int w = 0; w < 4; ++w) {
      if (w / 2 > row || w % 2 > column) continue;
      // Where in window w the element lies.
      const unsigned k =
          static_cast<unsigned>((row + 1 - 2 * (w / 2)) * 3 + column + 1 - 2 * (w % 2));
      NormAccumulate<T> values[kGroupChannels];
      Unpack<T>(dy[w], values);
#pragma unroll
      for (int c = 0; c < kGroupChannels; ++c) {
        const unsigned word = c < 4 ? winners[w].x : winners[w].y;
        if ((word >> (8 * (c % 4)) & 0xffU) == k) dz[c] += values[c];
      }
    }
  }
};

// Calls use(from, x, dz) for each of the square's elements that are in x; from: its
// index in groups.
template <typename T, Reuse kReuse, typename Use>
__device__ __forceinline__ void ForSquare(const T* dy, const uint8_t* winner, const T* x,
                                          const Geometry& g, int64_t index, int group, Use use) {
  using A = NormAccumulate<T>;
  const Pooled at(g, static_cast<unsigned>(index));
  const int64_t corner = IndexInX(g, at.image, 2 * at.row, 2 * at.column) + group;
  const int64_t line = static_cast<int64_t>(g.width) * g.groups;
  const bool below = 2 * at.row + 1 < g.height;
  const bool right = 2 * at.column + 1 < g.width;
  WindowGradients<T> windows;
  ChannelGroup<T> xs[4];
  xs[0] = LoadGroup<kReuse>(x, corner);
  if (right) xs[1] = LoadGroup<kReuse>(x, corner + g.groups);
  if (below) xs[2] = LoadGroup<kReuse>(x, corner + line);
  if (below && right) xs[3] = LoadGroup<kReuse>(x, corner + line + g.groups);
  windows.Load(dy, winner, g, at, index, group);

  A values[kGroupChannels];
  A dz[kGroupChannels];
  Unpack<T>(xs[0], values);
  windows.template Sum<0, 0>(dz);
  use(corner, values, dz);
  if (right) {
    Unpack<T>(xs[1], values);
    windows.template Sum<0, 1>(dz);
    use(corner + g.groups, values, dz);
  }
  if (below) {
    Unpack<T>(xs[2], values);
    windows.template Sum<1, 0>(dz);
    use(corner + line, values, dz);
  }
  if (below && right) {
    Unpack<T>(xs[3], values);
    windows.template Sum<1, 1>(dz);
    use(corner + line + g.groups, values, dz);
  }
}

template <typename T>
__global__ void __launch_bounds__(SumGrid::kThreads)
    PoolBackwardSumsKernel(const T* __restrict__ dy, const uint8_t* __restrict__ winner,
                           const T* __restrict__ x, Geometry g,
                           NormCoefficients<NormAccumulate<T>> coefficients,
                           NormAccumulate<T>* __restrict__ dgamma,
                           NormAccumulate<T>* __restrict__ dbeta, SumScratch scratch) {
  using A = NormAccumulate<T>;
  __shared__ StripTotals totals;
  const int group = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  A mean[kGroupChannels];
  LoadPerChannel(coefficients.mean, group, mean);
  A sum[kGroupChannels] = {};          // of dz
  A product_sum[kGroupChannels] = {};  // of dz * (x - mean)
  const int64_t stride = static_cast<int64_t>(gridDim.y) * blockDim.y;
  for (int64_t index = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
       index < g.pooled_rows; index += stride) {
    ForSquare<T, Reuse::kSoon>(
        dy, winner, x, g, index, group,
        [&](int64_t, const A(&values)[kGroupChannels], const A(&dz)[kGroupChannels]) {
#pragma unroll
          for (int c = 0; c < kGroupChannels; ++c) {
            sum[c] += dz[c];
            product_sum[c] = MultiplyAdd(dz[c], values[c] - mean[c], product_sum[c]);
          }
        });
  }
  if (!SumStrip(sum, product_sum, scratch, totals)) return;
  FinishBackwardSums(totals, coefficients.inverse_deviation, dgamma, dbeta);
}

// dx may be x: a thread reads its square before it writes it, and nobody else does either.
template <typename T>
__global__ void __launch_bounds__(RowGrid::kThreads)
    PoolBackwardApplyKernel(const T* __restrict__ dy, const uint8_t* __restrict__ winner,
                            const T* x, Geometry g,
                            NormCoefficients<NormAccumulate<T>> coefficients,
                            const NormAccumulate<T>* __restrict__ dgamma,
                            const NormAccumulate<T>* __restrict__ dbeta,
                            NormAccumulate<T> inverse_rows, T* dx, int64_t tiles) {
  using A = NormAccumulate<T>;
  const int group = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  NormBackward<A> backward[kGroupChannels];
  LoadBackward(coefficients, dgamma, dbeta, inverse_rows, group, backward);
  int64_t index = (gridDim.y - 1 - blockIdx.y) * tiles * blockDim.y + threadIdx.y;
  for (int64_t tile = 0; tile < tiles && index < g.pooled_rows; ++tile, index += blockDim.y) {
    ForSquare<T, Reuse::kOnce>(
        dy, winner, x, g, index, group,
        [&](int64_t to, const A(&values)[kGroupChannels], A(&dz)[kGroupChannels]) {
#pragma unroll
          for (int c = 0; c < kGroupChannels; ++c) dz[c] = backward[c](dz[c], values[c]);
          StoreGroup<Reuse::kSoon>(dx, to, Pack<T>(dz));
        });
  }
}

bool Valid(PoolNormShape shape) {
  return shape.images >= 0 && shape.height > 0 && shape.width > 0 &&
         ValidChannels(shape.channels) && shape.height <= 32768 && shape.width <= 32768 &&
         shape.images <= INT32_MAX / (shape.height * shape.width);
}

}  // namespace

template <typename T>
int PoolNormApplyOnGpu(const T* x, PoolNormShape shape,
                       NormCoefficients<NormAccumulate<T>> coefficients, T* y, uint8_t* winner,
                       void* stream) {
  if (!Valid(shape)) return cudaErrorInvalidValue;
  if (shape.images == 0) return cudaSuccess;
  const Geometry geometry(shape);
  const RowGrid on(geometry.pooled_rows, shape.channels, 1);
  PoolApplyKernel<T><<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      x, geometry, coefficients, y, winner, on.tiles_per_block);
  return cudaGetLastError();
}

template <typename T>
int PoolNormBackwardSumsOnGpu(const T* dy, const uint8_t* winner, const T* x, PoolNormShape shape,
                              NormCoefficients<NormAccumulate<T>> coefficients,
                              NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, void* scratch,
                              void* stream) {
  if (!Valid(shape)) return cudaErrorInvalidValue;
  const Geometry geometry(shape);
  const SumGrid on(geometry.pooled_rows, shape.channels, Multiprocessors());
  PoolBackwardSumsKernel<T><<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      dy, winner, x, geometry, coefficients, dgamma, dbeta, SumScratch(scratch));
  return cudaGetLastError();
}

template <typename T>
int PoolNormBackwardApplyOnGpu(const T* dy, const uint8_t* winner, const T* x, PoolNormShape shape,
                               NormCoefficients<NormAccumulate<T>> coefficients,
                               const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta,
                               T* dx, void* stream) {
  if (!Valid(shape) || (dgamma == nullptr) != (dbeta == nullptr)) return cudaErrorInvalidValue;
  if (shape.images == 0) return cudaSuccess;
  const Geometry geometry(shape);
  const RowGrid on(geometry.pooled_rows, shape.channels, 1);
  PoolBackwardApplyKernel<T><<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      dy, winner, x, geometry, coefficients, dgamma, dbeta,
      InverseRows<T>(shape.images * shape.height * shape.width), dx, on.tiles_per_block);
  return cudaGetLastError();
}

#define MEAD_INSTANTIATE(T)                                                                        \
  template int PoolNormApplyOnGpu<T>(const T*, PoolNormShape, NormCoefficients<NormAccumulate<T>>, \
                                     T*, uint8_t*, void*);                                         \
  template int PoolNormBackwardSumsOnGpu<T>(const T*, const uint8_t*, const T*, PoolNormShape,     \
                                            NormCoefficients<NormAccumulate<T>>,                   \
                                            NormAccumulate<T>*, NormAccumulate<T>*, void*, void*); \
  template int PoolNormBackwardApplyOnGpu<T>(                                                      \
      const T*, const uint8_t*, const T*, PoolNormShape, NormCoefficients<NormAccumulate<T>>,      \
      const NormAccumulate<T>*, const NormAccumulate<T>*, T*, void*)
MEAD_INSTANTIATE(float);
MEAD_INSTANTIATE(c10::BFloat16);
MEAD_INSTANTIATE(double);
#undef MEAD_INSTANTIATE

}  // namespace mead::train
