#include "worker/train/ops/pool_norm_cpu.h"

#include "worker/train/ops/norm_cpu_sums.h"
#include "worker/train/ops/pool_norm_cpu_isa.h"

namespace mead::train {
namespace {

constexpr PerIsa<PoolNormCpuTable> kTables = MEAD_TABLES(kPoolNormCpu);
template <typename T>
using Kernels = CpuKernelsOf<T, kTables>;

NormShape RowsOf(const PoolNormShape& shape) {
  return {.rows = shape.images * shape.height * shape.width, .channels = shape.channels};
}

}  // namespace

template <typename T>
void PoolNormApplyOnCpu(const T* x, const PoolNormShape& shape,
                        NormCoefficients<NormAccumulate<T>> k, T* y, uint8_t* winner) {
  const auto scale = NormScale(shape.channels, k);
  at::parallel_for(0, shape.pooled_lines(), 1, [&](int64_t begin, int64_t end) {
    Kernels<T>::Get().apply(Kernels<T>::Cast(x), shape, begin, end, k.mean, scale.data(), k.beta,
                            Kernels<T>::Cast(y), winner);
  });
}

template <typename T>
void PoolNormBackwardSumsOnCpu(const T* dy, const uint8_t* winner, const T* x,
                               const PoolNormShape& shape, NormCoefficients<NormAccumulate<T>> k,
                               NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta) {
  using A = NormAccumulate<T>;
  const auto channels = static_cast<size_t>(shape.channels);
  std::vector<double> sum(channels), product_sum(channels);
  SumOverChunks<A>(shape.pooled_lines(), shape.channels, sum.data(), product_sum.data(),
                   [&](int64_t line, A* first, A* second) {
                     Kernels<T>::Get().backward_sums(Kernels<T>::Cast(dy), winner,
                                                     Kernels<T>::Cast(x), shape, line, line + 1,
                                                     k.mean, first, second);
                   });
  FinishNormSums(sum, product_sum, k.inverse_deviation, dgamma, dbeta);
}

template <typename T>
void PoolNormBackwardApplyOnCpu(const T* dy, const uint8_t* winner, const T* x,
                                const PoolNormShape& shape, NormCoefficients<NormAccumulate<T>> k,
                                const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta,
                                T* dx) {
  const auto scale = NormScale(shape.channels, k);
  const NormSlopes<NormAccumulate<T>> slopes(RowsOf(shape), scale, k.inverse_deviation, dgamma,
                                             dbeta);
  at::parallel_for(0, shape.pooled_lines(), 1, [&](int64_t begin, int64_t end) {
    Kernels<T>::Get().backward_apply(Kernels<T>::Cast(dy), winner, Kernels<T>::Cast(x), shape,
                                     begin, end, k.mean, scale.data(), slopes.slope.data(),
                                     slopes.offset.data(), Kernels<T>::Cast(dx));
  });
}

#define MEAD_INSTANTIATE(T)                                                            \
  template void PoolNormApplyOnCpu(const T*, const PoolNormShape&,                     \
                                   NormCoefficients<NormAccumulate<T>>, T*, uint8_t*); \
  template void PoolNormBackwardSumsOnCpu(                                             \
      const T*, const uint8_t*, const T*, const PoolNormShape&,                        \
      NormCoefficients<NormAccumulate<T>>, NormAccumulate<T>*, NormAccumulate<T>*);    \
  template void PoolNormBackwardApplyOnCpu(                                            \
      const T*, const uint8_t*, const T*, const PoolNormShape&,                        \
      NormCoefficients<NormAccumulate<T>>, const NormAccumulate<T>*, const NormAccumulate<T>*, T*)
MEAD_INSTANTIATE(float);
MEAD_INSTANTIATE(double);
MEAD_INSTANTIATE(c10::BFloat16);
#undef MEAD_INSTANTIATE

}  // namespace mead::train
