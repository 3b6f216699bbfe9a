// The stem's passes over a range of lines of y on one thread, in one of several
// instruction sets.
//
// pool_norm_cpu_kernels.cc has them (simd/isa.h says how a copy of it is chosen);
// pool_norm_cpu.cc splits lines over threads and combines partial sums.
#pragma once

#include "worker/train/ops/pool_norm_shape.h"
#include "worker/train/simd/tables.h"

namespace mead::train {

// Lines [begin, end) of y, over all images; pointers are to the whole tensors.
template <typename T, typename A>
struct PoolNormCpuKernels {
  // scale: gamma / deviation. y = max over the window of relu((x - mean) * scale + beta).
  void (*apply)(const T* x, const PoolNormShape& shape, int64_t begin, int64_t end, const A* mean,
                const A* scale, const A* beta, T* y, uint8_t* winner);
  // Over the 2x2 elements of x that belong to each of y:
  // sum[c] += sum dz, product_sum[c] += sum dz * (x - mean).
  void (*backward_sums)(const T* dy, const uint8_t* winner, const T* x, const PoolNormShape& shape,
                        int64_t begin, int64_t end, const A* mean, A* sum, A* product_sum);
  // dx = dz * scale + (x - mean) * slope + offset of the same elements. dx may be x.
  void (*backward_apply)(const T* dy, const uint8_t* winner, const T* x, const PoolNormShape& shape,
                         int64_t begin, int64_t end, const A* mean, const A* scale, const A* slope,
                         const A* offset, T* dx);
};

struct PoolNormCpuTable {
  PoolNormCpuKernels<float, float> fp32;
  PoolNormCpuKernels<Bf16Storage, float> bf16;
  PoolNormCpuKernels<double, double> fp64;
};

MEAD_DECLARE_TABLES(PoolNormCpuTable, kPoolNormCpu);

}  // namespace mead::train
