// What the CPU's batch-norm passes share: sums over chunks, coefficients, and the kernels
// of a type.
#pragma once

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include "worker/train/ops/norm_kernels.h"
#include "worker/train/simd/isa.h"
#include "worker/train/simd/tables.h"

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {

// Two sums per channel, in double: each chunk's are made by sum_chunk(chunk, first, second)
// with first and second zeroed, [channels]; chunks are added in order, so that sums do
// not depend on the number of threads.
template <typename A, typename F>
void SumOverChunks(int64_t chunks, int64_t channels, double* first, double* second, F&& sum_chunk) {
  const int64_t width = 2 * channels;
  std::vector<A> partial(static_cast<size_t>(chunks * width));
  at::parallel_for(0, chunks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      A* sums = partial.data() + chunk * width;
      sum_chunk(chunk, sums, sums + channels);
    }
  });
  std::fill_n(first, channels, 0.0);
  std::fill_n(second, channels, 0.0);
  for (int64_t chunk = 0; chunk < chunks; ++chunk) {
    const A* sums = partial.data() + chunk * width;
    for (int64_t c = 0; c < channels; ++c) {
      first[c] += static_cast<double>(sums[c]);
      second[c] += static_cast<double>(sums[channels + c]);
    }
  }
}

// gamma / deviation.
template <typename A>
std::vector<A> NormScale(int64_t channels, NormCoefficients<A> k) {
  std::vector<A> scale(static_cast<size_t>(channels));
  for (int64_t c = 0; c < channels; ++c) {
    scale[static_cast<size_t>(c)] = k.gamma[c] * k.inverse_deviation[c];
  }
  return scale;
}

// What a backward application takes: dx = dz * scale + (x - mean) * slope + offset. Zeros
// where dgamma is null: the statistics are frozen.
template <typename A>
struct NormSlopes {
  std::vector<A> slope, offset;  // [channels]

  NormSlopes(NormShape shape, const std::vector<A>& scale, const A* inverse_deviation,
             const A* dgamma, const A* dbeta)
      : slope(static_cast<size_t>(shape.channels)), offset(slope.size()) {
    if (dgamma == nullptr) return;
    const A share = A{1} / static_cast<A>(shape.rows);
    for (size_t c = 0; c < slope.size(); ++c) {
      slope[c] = -scale[c] * inverse_deviation[c] * dgamma[c] * share;
      offset[c] = -scale[c] * dbeta[c] * share;
    }
  }
};

// dgamma and dbeta from sum dz and sum dz * (x - mean).
template <typename A>
void FinishNormSums(const std::vector<double>& sum, const std::vector<double>& product_sum,
                    const A* inverse_deviation, A* dgamma, A* dbeta) {
  for (size_t c = 0; c < sum.size(); ++c) {
    dbeta[c] = static_cast<A>(sum[c]);
    dgamma[c] = static_cast<A>(product_sum[c] * static_cast<double>(inverse_deviation[c]));
  }
}

// The active kernels of a type out of a table with fp32, bf16 and fp64, and its pointers as
// they take them.
template <typename T, const auto& kTables>
struct CpuKernelsOf {
  using Stored = std::conditional_t<std::is_same_v<T, c10::BFloat16>, Bf16Storage, T>;
  static_assert(sizeof(Stored) == sizeof(T));

  static const auto& Get() {
    const auto& table = TableOf(kTables, ActiveCpuIsa());
    if constexpr (std::is_same_v<T, float>) {
      return table.fp32;
    } else if constexpr (std::is_same_v<T, double>) {
      return table.fp64;
    } else {
      return table.bf16;
    }
  }
  static const Stored* Cast(const T* p) { return reinterpret_cast<const Stored*>(p); }
  static Stored* Cast(T* p) { return reinterpret_cast<Stored*>(p); }
};

}  // namespace mead::train
