// The stem of a residual network in one pass: batch-norm, ReLU and 3x3 max-pooling with
// stride 2 and padding 1, forward and backward, as CUDA kernels. Statistics is norm_gpu.h's.
//
// What lies between normalisation and pooling is never written. Bytes per bfloat16
// element of x, against passes of their own with a uint8 index:
//   forward    2.75 (x, a quarter of y and of the winner)               6.75
//   backward   7.5 (x and the quarters twice, dx)                      12.75
//
// Shape, winner: as in pool_norm_shape.h.
// Pointers, stream, errors, scratch memory: as in norm_gpu.h.
#pragma once

#include <cstdint>

#include "worker/train/ops/norm_kernels.h"
#include "worker/train/ops/pool_norm_shape.h"

namespace mead::train {

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
