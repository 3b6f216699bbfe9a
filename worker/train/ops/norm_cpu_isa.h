// The passes of norm_kernels.h over a range of rows on one thread, in one of
// several instruction sets.
//
// norm_cpu_kernels.cc has them (simd/isa.h says how a copy of it is chosen);
// norm_cpu.cc splits rows over threads and combines partial sums.
#pragma once

#include "worker/train/simd/tables.h"

namespace mead::train {

// Rows begin at the pointers given; channels is a multiple of 16. past_caches: y or dz is so
// large that it would be out of the caches before it is read again; it is aligned to 64 bytes.
template <typename T, typename A>
struct NormCpuKernels {
  // sum[c] += sum (x - shift), square_sum[c] += sum (x - shift)^2, over the rows.
  void (*moments)(const T* x, int64_t rows, int64_t channels, const A* shift, A* sum,
                  A* square_sum);
  // scale: gamma / deviation. y = act((x - mean) * scale + beta [+ residual]).
  void (*apply)(const T* x, const T* residual, int64_t rows, int64_t channels, const A* mean,
                const A* scale, const A* beta, bool relu, bool past_caches, T* y, uint8_t* mask);
  // sum[c] += sum dz, product_sum[c] += sum dz * (x - mean). dy2, dz: null, or the
  // gradient is dy + dy2 and dz is written.
  void (*backward_sums)(const T* dy, const T* dy2, const T* x, const uint8_t* mask, int64_t rows,
                        int64_t channels, const A* mean, const A* scale, const A* beta, bool relu,
                        bool past_caches, A* sum, A* product_sum, T* dz);
  // dx = dz * scale + (x - mean) * slope + offset; dresidual = dz, or null. dx may be x.
  void (*backward_apply)(const T* dy, const T* x, const uint8_t* mask, int64_t rows,
                         int64_t channels, const A* mean, const A* scale, const A* beta, bool relu,
                         const A* slope, const A* offset, T* dx, T* dresidual);
};

struct NormCpuTable {
  const char* isa;
  NormCpuKernels<float, float> fp32;
  NormCpuKernels<Bf16Storage, float> bf16;
  NormCpuKernels<double, double> fp64;
};

MEAD_DECLARE_TABLES(NormCpuTable, kNormCpu);

}  // namespace mead::train
