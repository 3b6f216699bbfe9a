// The stem of a residual network in one pass: batch-norm, ReLU and 3x3 max-pooling with
// stride 2 and padding 1, forward and backward, as CUDA kernels. Statistics is norm_gpu.h's.
//
// What lies between normalisation and pooling is never written. Bytes per bfloat16
// element of x, against passes of their own with a uint8 index:
//   forward    2.75 (x, a quarter of y and of the winner)               6.75
//   backward   7.5 (x and the quarters twice, dx)                      12.75
//
// Shape:  x, dx are [images, height, width, channels], dense; channels is a multiple of 16.
//         y, dy, winner are [images, (height + 1) / 2, (width + 1) / 2, channels].
// Winner: which of the window's 3x3 elements y comes from, row by row, 0 to 8; of equals
//         the first, as in torch. kNoWinner where none is positive: y is 0 and no
//         gradient passes. It takes the place of the sign, so backward needs no beta.
// Pointers, stream, errors, scratch memory: as in norm_gpu.h.
#pragma once

#include "worker/train/ops/norm_kernels.h"

namespace mead::train {

struct PoolNormShape {
  int64_t images = 0;
  int64_t height = 0;  // of x
  int64_t width = 0;   // of x
  int64_t channels = 0;
};

inline constexpr uint8_t kNoWinner = 9;

// winner: may be null.
template <typename T>
int PoolNormApplyOnGpu(const T* x, PoolNormShape shape,
                       NormCoefficients<NormAccumulate<T>> coefficients, T* y, uint8_t* winner,
                       void* stream);

// Writes dgamma and dbeta ([channels] each).
template <typename T>
int PoolNormBackwardSumsOnGpu(const T* dy, const uint8_t* winner, const T* x, PoolNormShape shape,
                              NormCoefficients<NormAccumulate<T>> coefficients,
                              NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, void* scratch,
                              void* stream);

// dgamma, dbeta: of this batch, or null with frozen statistics. dx may be x.
template <typename T>
int PoolNormBackwardApplyOnGpu(const T* dy, const uint8_t* winner, const T* x, PoolNormShape shape,
                               NormCoefficients<NormAccumulate<T>> coefficients,
                               const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta,
                               T* dx, void* stream);

}  // namespace mead::train
