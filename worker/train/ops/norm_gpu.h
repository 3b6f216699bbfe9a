// The passes of norm_kernels.h as CUDA kernels.
//
// All pointers are on the current device and aligned to 16 bytes; stream is a
// cudaStream_t. Nothing waits, allocates or reads back, so all of it can be
// captured into a CUDA graph.
// Errors: each returns the cudaError_t of its launches (0: none).
#pragma once

#include <cstddef>

#include "worker/train/ops/norm_kernels.h"

namespace mead::train {

// Bytes of scratch memory that the two reducing passes need, for any T. Its first
// use must find it zeroed; every pass leaves it zeroed where it counts.
size_t NormGpuScratchBytes(int64_t channels);

// Writes mean and inverse_deviation ([channels] each) of x.
template <typename T>
int NormStatisticsOnGpu(const T* x, NormShape shape, NormAccumulate<T> epsilon,
                        NormRunning<NormAccumulate<T>> running, NormAccumulate<T>* mean,
                        NormAccumulate<T>* inverse_deviation, void* scratch, void* stream);

// residual, mask: may be null.
template <typename T>
int NormApplyOnGpu(const T* x, const T* residual, NormShape shape,
                   NormCoefficients<NormAccumulate<T>> coefficients, bool relu, T* y, uint8_t* mask,
                   void* stream);

// Writes dgamma and dbeta ([channels] each).
template <typename T>
int NormBackwardSumsOnGpu(const T* dy, const T* x, const uint8_t* mask, NormShape shape,
                          NormCoefficients<NormAccumulate<T>> coefficients, bool relu,
                          NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, void* scratch,
                          void* stream);

// dgamma, dbeta: of this batch (not accumulated ones), or null with frozen
// statistics. dresidual: may be null.
template <typename T>
int NormBackwardApplyOnGpu(const T* dy, const T* x, const uint8_t* mask, NormShape shape,
                           NormCoefficients<NormAccumulate<T>> coefficients, bool relu,
                           const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta, T* dx,
                           T* dresidual, void* stream);

}  // namespace mead::train
