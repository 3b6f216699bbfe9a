#include "worker/train/ops/norm_cpu.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "worker/train/ops/norm_cpu_sums.h"

namespace mead::train {
namespace {

template <typename T>
T* Offset(T* pointer, int64_t elements) {
  return pointer ? pointer + elements : nullptr;
}

// Short enough for float32 sums to keep six digits, long enough that the partial
// sums are a small part of what is read.
int64_t ChunkRows(int64_t rows) { return rows >= 16384 ? 256 : 64; }

// Whether a tensor is written past the caches: nothing would be left of it in them, and what
// is written through them is read first. The memory must be aligned as LibTorch's is.
template <typename T>
bool PastCaches(NormShape shape, const T* to) {
  constexpr int64_t kSmallest = 10 << 20;  // bytes
  return shape.rows * shape.channels * static_cast<int64_t>(sizeof(T)) >= kSmallest &&
         reinterpret_cast<uintptr_t>(to) % 64 == 0;
}

// Rows per task of the passes without sums.
int64_t GrainRows(int64_t channels) { return std::max<int64_t>(32768 / channels, 1); }

// SumOverChunks of rows: sum_chunk(first row, rows, first, second).
template <typename A, typename F>
void SumOverRows(NormShape shape, double* first, double* second, F&& sum_chunk) {
  const int64_t chunk_rows = ChunkRows(shape.rows);
  const int64_t chunks = (shape.rows + chunk_rows - 1) / chunk_rows;
  SumOverChunks<A>(
      chunks, shape.channels, first, second, [&](int64_t chunk, A* chunk_first, A* chunk_second) {
        const int64_t row = chunk * chunk_rows;
        sum_chunk(row, std::min(chunk_rows, shape.rows - row), chunk_first, chunk_second);
      });
}

template <typename T>
using Kernels = CpuKernelsOf<T, kNormCpuTables>;

}  // namespace

template <typename T>
void NormStatisticsOnCpu(const T* x, NormShape shape, NormAccumulate<T> epsilon,
                         NormRunning<NormAccumulate<T>> running, NormAccumulate<T>* mean,
                         NormAccumulate<T>* inverse_deviation) {
  using A = NormAccumulate<T>;
  const auto channels = static_cast<size_t>(shape.channels);
  // Sums about the first row rather than zero: no digits are lost where the mean
  // is far larger than the deviation.
  std::vector<A> shift(channels);
  for (size_t c = 0; c < channels; ++c) shift[c] = static_cast<A>(x[c]);
  std::vector<double> sum(channels), square_sum(channels);
  SumOverRows<A>(shape, sum.data(), square_sum.data(),
                 [&](int64_t row, int64_t rows, A* first, A* second) {
                   Kernels<T>::Get().moments(Kernels<T>::Cast(x + row * shape.channels), rows,
                                             shape.channels, shift.data(), first, second);
                 });
  const auto n = static_cast<double>(shape.rows);
  for (size_t c = 0; c < channels; ++c) {
    const double offset = sum[c] / n;
    const double var = std::max(square_sum[c] / n - offset * offset, 0.0);
    const double batch_mean = static_cast<double>(shift[c]) + offset;
    mean[c] = static_cast<A>(batch_mean);
    inverse_deviation[c] = static_cast<A>(1 / std::sqrt(var + static_cast<double>(epsilon)));
    if (running.mean == nullptr) continue;
    const auto momentum = static_cast<double>(running.momentum);
    auto move = [&](A& value, double target) {
      value = static_cast<A>((1 - momentum) * static_cast<double>(value) + momentum * target);
    };
    move(running.mean[c], batch_mean);
    move(running.var[c], var * n / std::max(n - 1, 1.0));
  }
}

template <typename T>
void NormApplyOnCpu(const T* x, const T* residual, NormShape shape,
                    NormCoefficients<NormAccumulate<T>> coefficients, bool relu, T* y,
                    uint8_t* mask) {
  const auto scale = NormScale(shape.channels, coefficients);
  const bool past_caches = PastCaches(shape, y);
  at::parallel_for(0, shape.rows, GrainRows(shape.channels), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * shape.channels;
    Kernels<T>::Get().apply(Kernels<T>::Cast(x + at), Kernels<T>::Cast(Offset(residual, at)),
                            end - begin, shape.channels, coefficients.mean, scale.data(),
                            coefficients.beta, relu, past_caches, Kernels<T>::Cast(y + at),
                            Offset(mask, at / 8));
  });
}

template <typename T>
void NormBackwardSumsOnCpu(const T* dy, const T* dy2, const T* x, const uint8_t* mask,
                           NormShape shape, NormCoefficients<NormAccumulate<T>> coefficients,
                           bool relu, NormAccumulate<T>* dgamma, NormAccumulate<T>* dbeta, T* dz) {
  using A = NormAccumulate<T>;
  const auto channels = static_cast<size_t>(shape.channels);
  const auto scale = NormScale(shape.channels, coefficients);
  std::vector<double> sum(channels), product_sum(channels);
  const bool past_caches = dz != nullptr && PastCaches(shape, dz);
  SumOverRows<A>(
      shape, sum.data(), product_sum.data(), [&](int64_t row, int64_t rows, A* first, A* second) {
        const int64_t at = row * shape.channels;
        Kernels<T>::Get().backward_sums(
            Kernels<T>::Cast(dy + at), Kernels<T>::Cast(Offset(dy2, at)), Kernels<T>::Cast(x + at),
            Offset(mask, at / 8), rows, shape.channels, coefficients.mean, scale.data(),
            coefficients.beta, relu, past_caches, first, second, Kernels<T>::Cast(Offset(dz, at)));
      });
  FinishNormSums(sum, product_sum, coefficients.inverse_deviation, dgamma, dbeta);
}

template <typename T>
void NormBackwardApplyOnCpu(const T* dy, const T* x, const uint8_t* mask, NormShape shape,
                            NormCoefficients<NormAccumulate<T>> coefficients, bool relu,
                            const NormAccumulate<T>* dgamma, const NormAccumulate<T>* dbeta, T* dx,
                            T* dresidual) {
  const auto scale = NormScale(shape.channels, coefficients);
  const NormSlopes<NormAccumulate<T>> slopes(shape, scale, coefficients.inverse_deviation, dgamma,
                                             dbeta);
  at::parallel_for(0, shape.rows, GrainRows(shape.channels), [&](int64_t begin, int64_t end) {
    const int64_t at = begin * shape.channels;
    Kernels<T>::Get().backward_apply(
        Kernels<T>::Cast(dy + at), Kernels<T>::Cast(x + at), Offset(mask, at / 8), end - begin,
        shape.channels, coefficients.mean, scale.data(), coefficients.beta, relu,
        slopes.slope.data(), slopes.offset.data(), Kernels<T>::Cast(dx + at),
        Kernels<T>::Cast(Offset(dresidual, at)));
  });
}

#define MEAD_INSTANTIATE(T)                                                                        \
  template void NormStatisticsOnCpu(const T*, NormShape, NormAccumulate<T>,                        \
                                    NormRunning<NormAccumulate<T>>, NormAccumulate<T>*,            \
                                    NormAccumulate<T>*);                                           \
  template void NormApplyOnCpu(const T*, const T*, NormShape, NormCoefficients<NormAccumulate<T>>, \
                               bool, T*, uint8_t*);                                                \
  template void NormBackwardSumsOnCpu(const T*, const T*, const T*, const uint8_t*, NormShape,     \
                                      NormCoefficients<NormAccumulate<T>>, bool,                   \
                                      NormAccumulate<T>*, NormAccumulate<T>*, T*);                 \
  template void NormBackwardApplyOnCpu(const T*, const T*, const uint8_t*, NormShape,              \
                                       NormCoefficients<NormAccumulate<T>>, bool,                  \
                                       const NormAccumulate<T>*, const NormAccumulate<T>*, T*, T*)
MEAD_INSTANTIATE(float);
MEAD_INSTANTIATE(double);
MEAD_INSTANTIATE(c10::BFloat16);
#undef MEAD_INSTANTIATE

}  // namespace mead::train
