#include <cuda_runtime_api.h>

#include "worker/train/ops/channel_group.cuh"
#include "worker/train/ops/norm_channels.cuh"
#include "worker/train/ops/norm_gpu.h"
#include "worker/train/ops/norm_math.h"
#include "worker/train/ops/row_grid.cuh"
#include "worker/train/ops/strip_sums.cuh"

namespace mead::train {
namespace {

// How a backward pass knows what ReLU let pass.
enum class Gate {
  kOpen,  // there was no ReLU
  kSign,  // from x again
  kMask,  // Apply kept a bit
};

// Rows a thread loads before it uses the first: 64 bytes of each input.
template <typename T>
constexpr int kRows = static_cast<int>(8 / sizeof(T));

// dy to dz, in place. forward: read with kSign only; mask: with kMask only.
template <Gate kGate, typename A>
__device__ __forceinline__ void PassGate(A (&dy)[kGroupChannels], const A (&x)[kGroupChannels],
                                         const NormForward<A> (&forward)[kGroupChannels],
                                         unsigned mask) {
#pragma unroll
  for (int i = 0; i < kGroupChannels; ++i) {
    if constexpr (kGate == Gate::kSign) {
      if (!NormPasses(forward[i](x[i]))) dy[i] = 0;
    } else if constexpr (kGate == Gate::kMask) {
      if ((mask >> i & 1U) == 0) dy[i] = 0;
    }
  }
}

template <typename T>
__global__ void __launch_bounds__(SumGrid::kThreads)
    StatisticsKernel(const T* __restrict__ x, NormShape shape, NormAccumulate<T> epsilon,
                     NormRunning<NormAccumulate<T>> running, NormAccumulate<T>* __restrict__ mean,
                     NormAccumulate<T>* __restrict__ inverse_deviation, SumScratch scratch) {
  using A = NormAccumulate<T>;
  constexpr int kDepth = 2 * kRows<T>;  // one input only: twice as deep
  __shared__ StripTotals totals;
  const int64_t groups = shape.channels / kGroupChannels;
  const int64_t group = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  // Sums are of x - pilot, so that they do not drown in the mean's square. A third of the
  // way in is the inside of a picture; row 0 is a corner, which padding makes unlike the rest.
  const int64_t pilot_row = shape.rows / 3;
  A pilot[kGroupChannels];
  Unpack<T>(LoadGroup<Reuse::kSoon>(x, pilot_row * groups + group), pilot);

  A sum[kGroupChannels] = {};
  A square_sum[kGroupChannels] = {};
  const int64_t stride = static_cast<int64_t>(gridDim.y) * blockDim.y;
  for (int64_t first = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
       first < shape.rows; first += kDepth * stride) {
    ChannelGroup<T> loaded[kDepth];
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * stride;
      if (row < shape.rows) loaded[i] = LoadGroup<Reuse::kSoon>(x, row * groups + group);
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      if (first + i * stride >= shape.rows) break;
      A values[kGroupChannels];
      Unpack<T>(loaded[i], values);
#pragma unroll
      for (int c = 0; c < kGroupChannels; ++c) {
        const A distance = values[c] - pilot[c];
        sum[c] += distance;
        square_sum[c] = MultiplyAdd(distance, distance, square_sum[c]);
      }
    }
  }

  if (!SumStrip(sum, square_sum, scratch, totals)) return;
  const unsigned strip_channels = blockDim.x * kGroupChannels;
  const unsigned i = threadIdx.y * blockDim.x + threadIdx.x;
  if (i >= strip_channels) return;
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * strip_channels + i;
  const auto rows = static_cast<double>(shape.rows);
  const double shift = totals[0][i] / rows;
  const double batch_mean = static_cast<double>(x[pilot_row * shape.channels + channel]) + shift;
  const double distances = totals[1][i] - totals[0][i] * shift;
  const double square_distances = distances < 0 ? 0.0 : distances;  // rounding; NaN stays NaN
  mean[channel] = static_cast<A>(batch_mean);
  inverse_deviation[channel] =
      static_cast<A>(1.0 / sqrt(square_distances / rows + static_cast<double>(epsilon)));
  if (running.mean != nullptr) {
    running.mean[channel] +=
        running.momentum * (static_cast<A>(batch_mean) - running.mean[channel]);
  }
  if (running.var != nullptr) {
    const auto unbiased = static_cast<A>(square_distances / fmax(rows - 1.0, 1.0));
    running.var[channel] += running.momentum * (unbiased - running.var[channel]);
  }
}

// Rows from last to first: the end of x is what Statistics has left in the L2 cache.
template <typename T, bool kResidual>
__global__ void __launch_bounds__(RowGrid::kThreads)
    ApplyKernel(const T* __restrict__ x, const T* __restrict__ residual, NormShape shape,
                NormCoefficients<NormAccumulate<T>> coefficients, bool relu, T* __restrict__ y,
                uint8_t* __restrict__ mask, int64_t tiles) {
  using A = NormAccumulate<T>;
  constexpr int kDepth = kRows<T>;
  const int64_t groups = shape.channels / kGroupChannels;
  const int64_t group = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  NormForward<A> forward[kGroupChannels];
  LoadForward(coefficients, group, forward);

  const int64_t tile_rows = static_cast<int64_t>(blockDim.y) * kDepth;
  int64_t first = (gridDim.y - 1 - blockIdx.y) * tiles * tile_rows + threadIdx.y;
  for (int64_t tile = 0; tile < tiles; ++tile, first += tile_rows) {
    ChannelGroup<T> xs[kDepth];
    ChannelGroup<T> residuals[kDepth];
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * static_cast<int64_t>(blockDim.y);
      if (row >= shape.rows) continue;
      xs[i] = LoadGroup<Reuse::kOnce>(x, row * groups + group);
      if constexpr (kResidual) {
        residuals[i] = LoadGroup<Reuse::kOnce>(residual, row * groups + group);
      }
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * static_cast<int64_t>(blockDim.y);
      if (row >= shape.rows) break;
      A z[kGroupChannels];
      Unpack<T>(xs[i], z);
#pragma unroll
      for (int c = 0; c < kGroupChannels; ++c) z[c] = forward[c](z[c]);
      if constexpr (kResidual) {
        A added[kGroupChannels];
        Unpack<T>(residuals[i], added);
#pragma unroll
        for (int c = 0; c < kGroupChannels; ++c) z[c] += added[c];
        if (mask != nullptr) {
          unsigned passed = 0;
#pragma unroll
          for (int c = 0; c < kGroupChannels; ++c) {
            passed |= static_cast<unsigned>(NormPasses(z[c])) << c;
          }
          __stcs(mask + row * groups + group, static_cast<uint8_t>(passed));
        }
      }
      if (relu) {
#pragma unroll
        for (int c = 0; c < kGroupChannels; ++c) z[c] = NormRelu(z[c]);
      }
      StoreGroup<Reuse::kSoon>(y, row * groups + group, Pack<T>(z));
    }
  }
}

// dz may be dy or dy2, so none of them is __restrict__.
template <typename T, Gate kGate, bool kTwoGradients>
__global__ void __launch_bounds__(SumGrid::kThreads)
    BackwardSumsKernel(const T* dy, const T* dy2, const T* __restrict__ x,
                       const uint8_t* __restrict__ mask, NormShape shape,
                       NormCoefficients<NormAccumulate<T>> coefficients,
                       NormAccumulate<T>* __restrict__ dgamma,
                       NormAccumulate<T>* __restrict__ dbeta, T* dz, SumScratch scratch) {
  using A = NormAccumulate<T>;
  constexpr int kDepth = kRows<T>;
  __shared__ StripTotals totals;
  const int64_t groups = shape.channels / kGroupChannels;
  const int64_t group = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  A mean[kGroupChannels];
  LoadPerChannel(coefficients.mean, group, mean);
  NormForward<A> forward[kGroupChannels];
  if constexpr (kGate == Gate::kSign) LoadForward(coefficients, group, forward);

  A sum[kGroupChannels] = {};          // of dz
  A product_sum[kGroupChannels] = {};  // of dz * (x - mean)
  const int64_t stride = static_cast<int64_t>(gridDim.y) * blockDim.y;
  for (int64_t first = static_cast<int64_t>(blockIdx.y) * blockDim.y + threadIdx.y;
       first < shape.rows; first += kDepth * stride) {
    ChannelGroup<T> dys[kDepth];
    ChannelGroup<T> dy2s[kDepth];
    ChannelGroup<T> xs[kDepth];
    unsigned masks[kDepth] = {};
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * stride;
      if (row >= shape.rows) continue;
      const int64_t index = row * groups + group;
      xs[i] = LoadGroup<Reuse::kSoon>(x, index);
      if constexpr (kTwoGradients) {  // BackwardApply reads dz instead
        dys[i] = LoadGroup<Reuse::kOnce>(dy, index);
        dy2s[i] = LoadGroup<Reuse::kOnce>(dy2, index);
      } else {
        dys[i] = LoadGroup<Reuse::kSoon>(dy, index);
      }
      if constexpr (kGate == Gate::kMask) masks[i] = __ldg(mask + index);
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * stride;
      if (row >= shape.rows) break;
      A values[kGroupChannels];
      A gradient[kGroupChannels];
      Unpack<T>(xs[i], values);
      Unpack<T>(dys[i], gradient);
      if constexpr (kTwoGradients) {
        A other[kGroupChannels];
        Unpack<T>(dy2s[i], other);
#pragma unroll
        for (int c = 0; c < kGroupChannels; ++c) gradient[c] += other[c];
      }
      PassGate<kGate>(gradient, values, forward, masks[i]);
      if constexpr (kTwoGradients) {
        const ChannelGroup<T> rounded = Pack<T>(gradient);
        StoreGroup<Reuse::kSoon>(dz, row * groups + group, rounded);
        Unpack<T>(rounded, gradient);  // the sums are of what BackwardApply will read
      }
#pragma unroll
      for (int c = 0; c < kGroupChannels; ++c) {
        sum[c] += gradient[c];
        product_sum[c] = MultiplyAdd(gradient[c], values[c] - mean[c], product_sum[c]);
      }
    }
  }

  if (!SumStrip(sum, product_sum, scratch, totals)) return;
  FinishBackwardSums(totals, coefficients.inverse_deviation, dgamma, dbeta);
}

// Rows from last to first, as in Apply. dx may be dy or x, so none of them is __restrict__.
template <typename T, Gate kGate>
__global__ void __launch_bounds__(RowGrid::kThreads)
    BackwardApplyKernel(const T* dy, const T* x, const uint8_t* __restrict__ mask, NormShape shape,
                        NormCoefficients<NormAccumulate<T>> coefficients,
                        const NormAccumulate<T>* __restrict__ dgamma,
                        const NormAccumulate<T>* __restrict__ dbeta, NormAccumulate<T> inverse_rows,
                        T* dx, T* dresidual, int64_t tiles) {
  using A = NormAccumulate<T>;
  constexpr int kDepth = kRows<T>;
  const int64_t groups = shape.channels / kGroupChannels;
  const int64_t group = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  NormForward<A> forward[kGroupChannels];
  if constexpr (kGate == Gate::kSign) LoadForward(coefficients, group, forward);
  NormBackward<A> backward[kGroupChannels];
  LoadBackward(coefficients, dgamma, dbeta, inverse_rows, group, backward);

  const int64_t tile_rows = static_cast<int64_t>(blockDim.y) * kDepth;
  int64_t first = (gridDim.y - 1 - blockIdx.y) * tiles * tile_rows + threadIdx.y;
  for (int64_t tile = 0; tile < tiles; ++tile, first += tile_rows) {
    ChannelGroup<T> dys[kDepth];
    ChannelGroup<T> xs[kDepth];
    unsigned masks[kDepth] = {};
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * static_cast<int64_t>(blockDim.y);
      if (row >= shape.rows) continue;
      const int64_t index = row * groups + group;
      dys[i] = LoadGroup<Reuse::kOnce>(dy, index);
      xs[i] = LoadGroup<Reuse::kOnce>(x, index);
      if constexpr (kGate == Gate::kMask) masks[i] = __ldcs(mask + index);
    }
#pragma unroll
    for (int i = 0; i < kDepth; ++i) {
      const int64_t row = first + i * static_cast<int64_t>(blockDim.y);
      if (row >= shape.rows) break;
      const int64_t index = row * groups + group;
      A values[kGroupChannels];
      A gradient[kGroupChannels];
      Unpack<T>(xs[i], values);
      Unpack<T>(dys[i], gradient);
      PassGate<kGate>(gradient, values, forward, masks[i]);
      if (dresidual != nullptr) StoreGroup<Reuse::kOnce>(dresidual, index, Pack<T>(gradient));
#pragma unroll
      for (int c = 0; c < kGroupChannels; ++c) gradient[c] = backward[c](gradient[c], values[c]);
      StoreGroup<Reuse::kSoon>(dx, index, Pack<T>(gradient));
    }
  }
}

bool Valid(NormShape shape) { return shape.rows >= 0 && ValidChannels(shape.channels); }

Gate GateOf(bool relu, const uint8_t* mask) {
  if (!relu) return Gate::kOpen;
  return mask != nullptr ? Gate::kMask : Gate::kSign;
}

template <typename T, bool kTwoGradients>
auto BackwardSumsKernelOf(Gate gate) {
  switch (gate) {
    case Gate::kOpen:
      return &BackwardSumsKernel<T, Gate::kOpen, kTwoGradients>;
    case Gate::kSign:
      return &BackwardSumsKernel<T, Gate::kSign, kTwoGradients>;
    default:
      return &BackwardSumsKernel<T, Gate::kMask, kTwoGradients>;
  }
}

template <typename T>
auto BackwardApplyKernelOf(Gate gate) {
  switch (gate) {
    case Gate::kOpen:
      return &BackwardApplyKernel<T, Gate::kOpen>;
    case Gate::kSign:
      return &BackwardApplyKernel<T, Gate::kSign>;
    default:
      return &BackwardApplyKernel<T, Gate::kMask>;
  }
}

}  // namespace

size_t NormGpuScratchBytes(int64_t channels) { return SumScratch::Bytes(channels); }

template <typename T>
int NormStatisticsOnGpu(const T* x, NormShape shape, NormAccumulate<T> epsilon,
                        NormRunning<NormAccumulate<T>> running, NormAccumulate<T>* mean,
                        NormAccumulate<T>* inverse_deviation, void* scratch, void* stream) {
  if (!Valid(shape) || shape.rows == 0) return cudaErrorInvalidValue;
  const SumGrid on(shape.rows, shape.channels, Multiprocessors());
  StatisticsKernel<T><<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      x, shape, epsilon, running, mean, inverse_deviation, SumScratch(scratch));
  return cudaGetLastError();
}

template <typename T>
int NormApplyOnGpu(const T* x, const T* residual, NormShape shape,
                   NormCoefficients<NormAccumulate<T>> coefficients, bool relu, T* y, uint8_t* mask,
                   void* stream) {
  if (!Valid(shape) || (mask != nullptr && (residual == nullptr || !relu))) {
    return cudaErrorInvalidValue;
  }
  if (shape.rows == 0) return cudaSuccess;
  const RowGrid on(shape.rows, shape.channels, kRows<T>);
  auto* kernel = residual != nullptr ? &ApplyKernel<T, true> : &ApplyKernel<T, false>;
  kernel<<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      x, residual, shape, coefficients, relu, y, mask, on.tiles_per_block);
  return cudaGetLastError();
}

template <typename T>
int NormBackwardSumsOnGpu(const T* dy, const T* dy2, const T* x, const uint8_t* mask,
                          NormShape shape, NormCoefficients<NormAccumulate<T>> coefficients,
                          bool relu, NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, T* dz,
                          void* scratch, void* stream) {
  if (!Valid(shape) || (dy2 == nullptr) != (dz == nullptr)) return cudaErrorInvalidValue;
  const Gate gate = GateOf(relu, mask);
  const SumGrid on(shape.rows, shape.channels, Multiprocessors());
  auto* kernel =
      dy2 != nullptr ? BackwardSumsKernelOf<T, true>(gate) : BackwardSumsKernelOf<T, false>(gate);
  kernel<<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      dy, dy2, x, mask, shape, coefficients, dgamma, dbeta, dz, SumScratch(scratch));
  return cudaGetLastError();
}

template <typename T>
int NormBackwardApplyOnGpu(const T* dy, const T* x, const uint8_t* mask, NormShape shape,
                           NormCoefficients<NormAccumulate<T>> coefficients, bool relu,
                           const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta, T* dx,
                           T* dresidual, void* stream) {
  if (!Valid(shape) || (dgamma == nullptr) != (dbeta == nullptr)) return cudaErrorInvalidValue;
  if (shape.rows == 0) return cudaSuccess;
  const RowGrid on(shape.rows, shape.channels, kRows<T>);
  auto* kernel = BackwardApplyKernelOf<T>(GateOf(relu, mask));
  kernel<<<on.grid(), on.block(), 0, static_cast<cudaStream_t>(stream)>>>(
      dy, x, mask, shape, coefficients, dgamma, dbeta, InverseRows<T>(shape.rows), dx, dresidual,
      on.tiles_per_block);
  return cudaGetLastError();
}

#define MEAD_INSTANTIATE(T)                                                                        \
  template int NormStatisticsOnGpu<T>(const T*, NormShape, NormAccumulate<T>,                      \
                                      NormRunning<NormAccumulate<T>>, NormAccumulate<T>*,          \
                                      NormAccumulate<T>*, void*, void*);                           \
  template int NormApplyOnGpu<T>(const T*, const T*, NormShape,                                    \
                                 NormCoefficients<NormAccumulate<T>>, bool, T*, uint8_t*, void*);  \
  template int NormBackwardSumsOnGpu<T>(const T*, const T*, const T*, const uint8_t*, NormShape,   \
                                        NormCoefficients<NormAccumulate<T>>, bool,                 \
                                        NormAccumulate<T>*, NormAccumulate<T>*, T*, void*, void*); \
  template int NormBackwardApplyOnGpu<T>(                                                          \
      const T*, const T*, const uint8_t*, NormShape, NormCoefficients<NormAccumulate<T>>, bool,    \
      const NormAccumulate<T>*, const NormAccumulate<T>*, T*, T*, void*)
MEAD_INSTANTIATE(float);
MEAD_INSTANTIATE(c10::BFloat16);
MEAD_INSTANTIATE(double);
#undef MEAD_INSTANTIATE

}  // namespace mead::train
