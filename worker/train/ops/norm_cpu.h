// The passes of norm_kernels.h on the CPU, over LibTorch's threads.
//
// Sums are formed over chunks that depend on the shape alone and are combined in
// double, in order, so results do not depend on the number of threads.
// Thread: any; memory is the caller's.
#pragma once

#include "worker/train/ops/norm_cpu_isa.h"
#include "worker/train/ops/norm_kernels.h"
#include "worker/train/simd/isa.h"

namespace mead::train {

inline constexpr PerIsa<NormCpuTable> kNormCpuTables = MEAD_TABLES(kNormCpu);

// Writes mean and inverse_deviation ([channels] each) of x.
template <typename T>
void NormStatisticsOnCpu(const T* x, NormShape shape, NormAccumulate<T> epsilon,
                         NormRunning<NormAccumulate<T>> running, NormAccumulate<T>* mean,
                         NormAccumulate<T>* inverse_deviation);

// residual, mask: may be null.
template <typename T>
void NormApplyOnCpu(const T* x, const T* residual, NormShape shape,
                    NormCoefficients<NormAccumulate<T>> coefficients, bool relu, T* y,
                    uint8_t* mask);

// Writes dgamma and dbeta ([channels] each). dy2, dz: null, or both given. Then the
// gradient is dy + dy2, and dz is written.
template <typename T>
void NormBackwardSumsOnCpu(const T* dy, const T* dy2, const T* x, const uint8_t* mask,
                           NormShape shape, NormCoefficients<NormAccumulate<T>> coefficients,
                           bool relu, NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, T* dz);

// dgamma, dbeta: of this batch, or null with frozen statistics. dresidual: may be
// null. dx may be dy or x.
template <typename T>
void NormBackwardApplyOnCpu(const T* dy, const T* x, const uint8_t* mask, NormShape shape,
                            NormCoefficients<NormAccumulate<T>> coefficients, bool relu,
                            const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta, T* dx,
                            T* dresidual);

}  // namespace mead::train
