// The four passes of fused batch-norm + addition + ReLU over channels_last tensors,
// on raw memory: what a CPU and a GPU implement alike.
//
// Forward is Statistics, Apply; backward is BackwardSums, BackwardApply. With
// frozen statistics Statistics is left out and BackwardApply gets no sums.
//
//   forward    y  = act((x - mean) * deviation^-1 * gamma + beta [+ residual])
//   backward   dz = dy where the activation let it pass (z > 0, or NaN), else 0
//              dbeta = sum dz     dgamma = sum dz * (x - mean) * deviation^-1
//              dx = gamma * deviation^-1 * (dz - dbeta / rows - xhat * dgamma / rows)
//              dresidual = dz
//
// Shape:  x, y, residual and their gradients are [rows, channels], dense; that is
//         [N, C, H, W] in channels_last with rows = N*H*W. channels is a multiple of 16.
//         Everything per channel is [channels].
// Types:  T is float, c10::BFloat16 or double (gradient checks); sums and
//         everything per channel are in NormAccumulate<T>.
// Mask:   with a residual the sign before ReLU cannot be told from x, so Apply
//         keeps one bit per element: bit (i % 8) of mask[i / 8] is 1 where element
//         i = row * channels + channel passed. Without a residual, and
//         without ReLU, mask is null and the passes compute the sign again from x.
// Source: Ioffe and Szegedy, "Batch Normalization", ICML 2015; torch.nn.BatchNorm2d
//         (running_var takes the unbiased variance).
#pragma once

#include <c10/util/BFloat16.h>

#include <cstdint>
#include <type_traits>

namespace mead::train {

template <typename T>
using NormAccumulate = std::conditional_t<std::is_same_v<T, double>, double, float>;

struct NormShape {
  int64_t rows = 0;
  int64_t channels = 0;
};

// Per channel; gamma and beta are the layer's parameters, the other two come from
// Statistics or, frozen, from the running ones.
template <typename A>
struct NormCoefficients {
  const A* mean = nullptr;
  const A* inverse_deviation = nullptr;  // 1 / sqrt(var + epsilon)
  const A* gamma = nullptr;
  const A* beta = nullptr;
};

// Running statistics: updated as running += momentum * (batch - running); null: left alone.
template <typename A>
struct NormRunning {
  A* mean = nullptr;
  A* var = nullptr;
  A momentum = 0;
};

}  // namespace mead::train
