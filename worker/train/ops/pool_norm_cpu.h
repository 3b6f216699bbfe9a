// The stem of a residual network on the CPU: batch-norm, ReLU and 3x3 max-pooling with
// stride 2 and padding 1, over LibTorch's threads. Statistics is norm_cpu.h's.
//
// What lies between normalisation and pooling is never written: bytes per bfloat16 element
// of x, against passes of their own with LibTorch's pooling and its int64 index: 2.75
// against 8.5 forward, 7.5 against 16.5 backward.
//
// Shape, winner: as in pool_norm_shape.h. Sums, threads: as in norm_cpu.h.
#pragma once

#include "worker/train/ops/norm_kernels.h"
#include "worker/train/ops/pool_norm_shape.h"

namespace mead::train {

template <typename T>
void PoolNormApplyOnCpu(const T* x, const PoolNormShape& shape,
                        NormCoefficients<NormAccumulate<T>> coefficients, T* y, uint8_t* winner);

// Writes dgamma and dbeta ([channels] each).
template <typename T>
void PoolNormBackwardSumsOnCpu(const T* dy, const uint8_t* winner, const T* x,
                               const PoolNormShape& shape,
                               NormCoefficients<NormAccumulate<T>> coefficients,
                               NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta);

// dgamma, dbeta: of this batch, or null with frozen statistics. dx may be x.
template <typename T>
void PoolNormBackwardApplyOnCpu(const T* dy, const uint8_t* winner, const T* x,
                                const PoolNormShape& shape,
                                NormCoefficients<NormAccumulate<T>> coefficients,
                                const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta,
                                T* dx);

}  // namespace mead::train
