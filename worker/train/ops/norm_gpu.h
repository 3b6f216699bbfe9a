// The passes of norm_kernels.h as CUDA kernels.
//
// All pointers are on the current device; [rows, channels] ones are aligned to 16 bytes.
// stream is a cudaStream_t. Nothing waits, allocates or reads back, so all of it can be
// captured into a CUDA graph. The same input gives the same bits every time.
// Errors: each returns the cudaError_t of its launch (0: none); cudaErrorInvalidValue
//         where the shape or the combination of pointers is not one described here.
#pragma once

#include <cstddef>

#include "worker/train/ops/norm_kernels.h"

namespace mead::train {

// Bytes of scratch memory that the two reducing passes need, for any T and any number of
// rows. Its first use must find it zeroed; every pass leaves it zeroed where it counts.
// All layers of a stream can share what the widest one needs; passes that run at the
// same time need one each.
size_t NormGpuScratchBytes(int64_t channels);

// Writes mean and inverse_deviation ([channels] each) of x, which has at least one row.
// The sums are taken around a row of x: a mean far from 0 costs no digits.
template <typename T>
int NormStatisticsOnGpu(const T* x, NormShape shape, NormAccumulate<T> epsilon,
                        NormRunning<NormAccumulate<T>> running, NormAccumulate<T>* mean,
                        NormAccumulate<T>* inverse_deviation, void* scratch, void* stream);

// residual, mask: may be null; a mask only with a residual and relu.
template <typename T>
int NormApplyOnGpu(const T* x, const T* residual, NormShape shape,
                   NormCoefficients<NormAccumulate<T>> coefficients, bool relu, T* y, uint8_t* mask,
                   void* stream);

// Writes dgamma and dbeta ([channels] each).
// mask: what Apply wrote; null without a residual, and without relu.
// dy2, dz: null, or both given (dz may be dy or dy2). Then the gradient is dy + dy2 (the output
// went two ways: into a convolution and past it, as a residual), and dz is written, for
// BackwardApply to take as dy without relu and for the residual as its gradient. An addition
// before, dy read twice and the mask cost 18.25 bytes per bfloat16 element, this 14.125.
template <typename T>
int NormBackwardSumsOnGpu(const T* dy, const T* dy2, const T* x, const uint8_t* mask,
                          NormShape shape, NormCoefficients<NormAccumulate<T>> coefficients,
                          bool relu, NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, T* dz,
                          void* scratch, void* stream);

// dgamma, dbeta: of this batch (not accumulated ones), or null with frozen
// statistics. dresidual: may be null. dx may be dy or x: an element is read before it is
// written.
template <typename T>
int NormBackwardApplyOnGpu(const T* dy, const T* x, const uint8_t* mask, NormShape shape,
                           NormCoefficients<NormAccumulate<T>> coefficients, bool relu,
                           const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta, T* dx,
                           T* dresidual, void* stream);

}  // namespace mead::train
