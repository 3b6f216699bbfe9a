// What the AVX-512 BF16 kernels of this folder share. Only for their sources: what is
// compiled for AVX-512 must not be linked into code that runs everywhere, so all of it
// is in an unnamed namespace.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "worker/train/ops/conv_shape.h"

namespace mead::train {
namespace {

constexpr int64_t kLanes = 16;

inline __m512 Load(const uint16_t* from) {
  const __m256i bits = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16));
}

inline __m256i Round(__m512 values) { return (__m256i)_mm512_cvtneps_pbh(values); }

inline void Store(uint16_t* to, __m512 values) {
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), Round(values));
}

// The pairs that vdpbf16ps takes: per lane, a's and b's value.
inline __m512i Interleave(__m512 a, __m512 b) {
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

// The same of 16 values that are bfloat16 already.
inline __m512i Interleave(const uint16_t* a, const uint16_t* b) {
  const __m512i order = _mm512_set_epi16(47, 15, 46, 14, 45, 13, 44, 12, 43, 11, 42, 10, 41, 9, 40,
                                         8, 39, 7, 38, 6, 37, 5, 36, 4, 35, 3, 34, 2, 33, 1, 32, 0);
  const __m256i first = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
  const __m256i second = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
  return _mm512_permutex2var_epi16(_mm512_castsi256_si512(first), order,
                                   _mm512_castsi256_si512(second));
}

// Sixteen rows of sixteen 32-bit elements into columns.
inline void Transpose(const __m512i* in, __m512i* out) {
  __m512i a[16], b[16];
  for (int i = 0; i < 8; ++i) {
    a[2 * i] = _mm512_unpacklo_epi32(in[2 * i], in[2 * i + 1]);
    a[2 * i + 1] = _mm512_unpackhi_epi32(in[2 * i], in[2 * i + 1]);
  }
  for (int i = 0; i < 4; ++i) {
    b[4 * i] = _mm512_unpacklo_epi64(a[4 * i], a[4 * i + 2]);
    b[4 * i + 1] = _mm512_unpackhi_epi64(a[4 * i], a[4 * i + 2]);
    b[4 * i + 2] = _mm512_unpacklo_epi64(a[4 * i + 1], a[4 * i + 3]);
    b[4 * i + 3] = _mm512_unpackhi_epi64(a[4 * i + 1], a[4 * i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    a[i] = _mm512_shuffle_i32x4(b[i], b[4 + i], 0x88);
    a[4 + i] = _mm512_shuffle_i32x4(b[i], b[4 + i], 0xdd);
    a[8 + i] = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0x88);
    a[12 + i] = _mm512_shuffle_i32x4(b[8 + i], b[12 + i], 0xdd);
  }
  for (int i = 0; i < 8; ++i) {
    out[i] = _mm512_shuffle_i32x4(a[i], a[8 + i], 0x88);
    out[8 + i] = _mm512_shuffle_i32x4(a[i], a[8 + i], 0xdd);
  }
}

// Where a product of 64 columns goes: float32, row after row, which may be added to; or
// rounded, rows `stride` apart.
struct FloatSums {
  float* to;

  FloatSums From(int64_t row) const { return {to + row * kConvPanelColumns}; }
  __m512 Read(int r, int v) const {
    return _mm512_loadu_ps(to + r * kConvPanelColumns + v * kLanes);
  }
  void Write(int r, int v, __m512 sum) const {
    _mm512_storeu_ps(to + r * kConvPanelColumns + v * kLanes, sum);
  }
};
struct RoundedSums {
  uint16_t* to;
  int64_t stride;

  RoundedSums From(int64_t row) const { return {to + row * stride, stride}; }
  void Write(int r, int v, __m512 sum) const { Store(to + r * stride + v * kLanes, sum); }
};

// sums[kRows][64] (+)= rows * panel over `pairs` of the inner dimension, the sums in
// registers throughout. panel: [pairs][64] elements of two bfloat16. Pair p of row r is the
// 32-bit element at rows + r * row_stride + p * pair_stride. kAdd: to what sums holds.
// ahead: `pairs` cache lines from here on are fetched into the second-level cache meanwhile.
template <int kRows, bool kAdd, typename Sums>
inline __attribute__((always_inline)) void MultiplyRows(const uint32_t* rows, int64_t row_stride,
                                                        int64_t pair_stride, const uint32_t* panel,
                                                        int64_t pairs, const uint32_t* ahead,
                                                        const Sums& sums) {
  constexpr int kVectors = kConvPanelColumns / kLanes;
  __m512 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      if constexpr (kAdd) {
        sum[r][v] = sums.Read(r, v);
      } else {
        sum[r][v] = _mm512_setzero_ps();
      }
    }
  }
  for (int64_t p = 0; p < pairs; ++p) {
    __m512i column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      column[v] = _mm512_loadu_si512(panel + p * kConvPanelColumns + v * kLanes);
    }
    _mm_prefetch(reinterpret_cast<const char*>(ahead + p * kLanes), _MM_HINT_T1);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      int pair;
      __builtin_memcpy(&pair, rows + r * row_stride + p * pair_stride, sizeof(pair));
      const __m512i row = _mm512_set1_epi32(pair);
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)column[v], (__m512bh)row);
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) sums.Write(r, v, sum[r][v]);
  }
}

// product[count][64] = rows[count][inner] * panel[inner / 2][64, 2]. Meanwhile memory is
// fetched that is needed next: the panel after this one, which its first rows would wait for,
// and then the rows after these.
template <typename Sums>
inline void MultiplyPanel(const uint16_t* rows, int64_t count, int64_t inner, const uint16_t* panel,
                          Sums product) {
  // Elements of two; nothing is read through these pointers but by instructions that take
  // any address.
  const auto* row = reinterpret_cast<const uint32_t*>(rows);
  const auto* columns = reinterpret_cast<const uint32_t*>(panel);
  const int64_t pairs = inner / 2;
  const uint32_t* const more = row + count * pairs;
  const uint32_t* ahead = columns + pairs * kConvPanelColumns;
  const uint32_t* const ahead_end = ahead + pairs * kConvPanelColumns;
  for (; count >= kConvRowsAtOnce; count -= kConvRowsAtOnce) {
    MultiplyRows<kConvRowsAtOnce, false>(row, pairs, 1, columns, pairs, ahead, product);
    row += kConvRowsAtOnce * pairs;
    product = product.From(kConvRowsAtOnce);
    ahead += pairs * kLanes;
    if (ahead == ahead_end) ahead = more;
  }
  switch (count) {
    case 5:
      return MultiplyRows<5, false>(row, pairs, 1, columns, pairs, ahead, product);
    case 4:
      return MultiplyRows<4, false>(row, pairs, 1, columns, pairs, ahead, product);
    case 3:
      return MultiplyRows<3, false>(row, pairs, 1, columns, pairs, ahead, product);
    case 2:
      return MultiplyRows<2, false>(row, pairs, 1, columns, pairs, ahead, product);
    case 1:
      return MultiplyRows<1, false>(row, pairs, 1, columns, pairs, ahead, product);
    default:
      return;
  }
}

}  // namespace
}  // namespace mead::train
