// What the normalisation kernels keep per channel: read before their loop over rows,
// written after it.
#pragma once

#include "worker/train/ops/channel_group.cuh"
#include "worker/train/ops/norm_kernels.h"
#include "worker/train/ops/norm_math.h"
#include "worker/train/ops/strip_sums.cuh"

namespace mead::train {

template <typename A>
__device__ __forceinline__ void LoadForward(NormCoefficients<A> coefficients, int64_t group,
                                            NormForward<A> (&forward)[kGroupChannels]) {
  A mean[kGroupChannels];
  A inverse_deviation[kGroupChannels];
  A gamma[kGroupChannels];
  A beta[kGroupChannels];
  LoadPerChannel(coefficients.mean, group, mean);
  LoadPerChannel(coefficients.inverse_deviation, group, inverse_deviation);
  LoadPerChannel(coefficients.gamma, group, gamma);
  LoadPerChannel(coefficients.beta, group, beta);
#pragma unroll
  for (int i = 0; i < kGroupChannels; ++i) {
    forward[i] = NormForward<A>(mean[i], inverse_deviation[i], gamma[i], beta[i]);
  }
}

// dgamma, dbeta: null with frozen statistics.
template <typename A>
__device__ __forceinline__ void LoadBackward(NormCoefficients<A> coefficients, const A* dgamma,
                                             const A* dbeta, A inverse_rows, int64_t group,
                                             NormBackward<A> (&backward)[kGroupChannels]) {
  A mean[kGroupChannels];
  A inverse_deviation[kGroupChannels];
  A gamma[kGroupChannels];
  A gamma_sum[kGroupChannels] = {};
  A beta_sum[kGroupChannels] = {};
  LoadPerChannel(coefficients.mean, group, mean);
  LoadPerChannel(coefficients.inverse_deviation, group, inverse_deviation);
  LoadPerChannel(coefficients.gamma, group, gamma);
  if (dgamma != nullptr) {
    LoadPerChannel(dgamma, group, gamma_sum);
    LoadPerChannel(dbeta, group, beta_sum);
  }
#pragma unroll
  for (int i = 0; i < kGroupChannels; ++i) {
    backward[i] = NormBackward<A>(mean[i], inverse_deviation[i], gamma[i], gamma_sum[i],
                                  beta_sum[i], inverse_rows);
  }
}

template <typename T>
NormAccumulate<T> InverseRows(int64_t rows) {
  return static_cast<NormAccumulate<T>>(1.0 / static_cast<double>(rows));
}

// totals: of dz and of dz * (x - mean).
template <typename A>
__device__ __forceinline__ void FinishBackwardSums(const StripTotals& totals,
                                                   const A* inverse_deviation, A* dgamma,
                                                   A* dbeta) {
  const unsigned strip_channels = blockDim.x * kGroupChannels;
  const unsigned i = threadIdx.y * blockDim.x + threadIdx.x;
  if (i >= strip_channels) return;
  const int64_t channel = static_cast<int64_t>(blockIdx.x) * strip_channels + i;
  dbeta[channel] = static_cast<A>(totals[0][i]);
  dgamma[channel] = static_cast<A>(totals[1][i] * static_cast<double>(inverse_deviation[channel]));
}

}  // namespace mead::train
