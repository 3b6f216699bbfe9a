#include "worker/train/ops/conv_avx512_bf16.h"
#include "worker/train/ops/conv_winograd_isa.h"

namespace mead::train {
namespace {

constexpr int64_t kPanel = kConvPanelColumns;
constexpr int kPoints = static_cast<int>(kWinogradPoints);

// B^T d of one column of four.
inline __attribute__((always_inline)) void InputColumn(__m512 d0, __m512 d1, __m512 d2, __m512 d3,
                                                       __m512* out) {
  out[0] = _mm512_sub_ps(d0, d2);
  out[1] = _mm512_add_ps(d1, d2);
  out[2] = _mm512_sub_ps(d2, d1);
  out[3] = _mm512_sub_ps(d1, d3);
}

struct TilePlace {
  int64_t image, row, column;
};

inline TilePlace PlaceOf(const WinogradPictures& p, int64_t tile) {
  const int64_t per_image = p.tile_rows() * p.tile_columns();
  const int64_t image = tile / per_image;
  const int64_t rest = tile - image * per_image;
  const int64_t row = rest / p.tile_columns();
  return {image, row, rest - row * p.tile_columns()};
}

inline void Advance(const WinogradPictures& p, TilePlace& place) {
  if (++place.column < p.tile_columns()) return;
  place.column = 0;
  if (++place.row < p.tile_rows()) return;
  place.row = 0;
  ++place.image;
}

// The 16 pixels under a tile; zeros outside of the picture. A tile's 4x4 begins one
// pixel above and to the left of its 2x2.
inline void InputRows(const WinogradPictures& p, const TilePlace& at, const uint16_t* x,
                      int64_t channels, const uint16_t* zeros, const uint16_t** rows) {
  for (int64_t i = 0; i < 4; ++i) {
    const int64_t y = 2 * at.row - 1 + i;
    for (int64_t j = 0; j < 4; ++j) {
      const int64_t column = 2 * at.column - 1 + j;
      const bool inside = y >= 0 && y < p.h && column >= 0 && column < p.w;
      rows[4 * i + j] = inside ? x + ((at.image * p.h + y) * p.w + column) * channels : zeros;
    }
  }
}

inline void GradientRows(const WinogradPictures& p, const TilePlace& at, const uint16_t* dy,
                         int64_t channels, const uint16_t* zeros, const uint16_t** rows) {
  for (int64_t i = 0; i < 2; ++i) {
    for (int64_t j = 0; j < 2; ++j) {
      const int64_t y = 2 * at.row + i;
      const int64_t column = 2 * at.column + j;
      rows[2 * i + j] =
          y < p.h && column < p.w ? dy + ((at.image * p.h + y) * p.w + column) * channels : zeros;
    }
  }
}

// B^T d B of 16 channels.
inline __attribute__((always_inline)) void TransformInput(const uint16_t* const* rows, int64_t c,
                                                          __m512* out) {
  __m512 half[4][4];  // [column][row]
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    InputColumn(Load(rows[j] + c), Load(rows[4 + j] + c), Load(rows[8 + j] + c),
                Load(rows[12 + j] + c), half[j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) {
    InputColumn(half[0][i], half[1][i], half[2][i], half[3][i], out + 4 * i);
  }
}

// A y: four of two.
inline __attribute__((always_inline)) void GradientColumn(__m512 y0, __m512 y1, __m512* out) {
  out[0] = y0;
  out[1] = _mm512_add_ps(y0, y1);
  out[2] = _mm512_sub_ps(y0, y1);
  out[3] = _mm512_sub_ps(_mm512_setzero_ps(), y1);
}

inline __attribute__((always_inline)) void TransformGradient(const uint16_t* const* rows, int64_t c,
                                                             __m512* out) {
  __m512 half[2][4];  // [column][row]
#pragma GCC unroll 2
  for (int j = 0; j < 2; ++j) GradientColumn(Load(rows[j] + c), Load(rows[2 + j] + c), half[j]);
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) GradientColumn(half[0][i], half[1][i], out + 4 * i);
}

// G g, four of three.
inline __attribute__((always_inline)) void WeightColumn(__m512 g0, __m512 g1, __m512 g2,
                                                        __m512* out) {
  const __m512 half = _mm512_set1_ps(0.5f);
  const __m512 even = _mm512_mul_ps(half, _mm512_add_ps(g0, g2));
  const __m512 odd = _mm512_mul_ps(half, g1);
  out[0] = g0;
  out[1] = _mm512_add_ps(even, odd);
  out[2] = _mm512_sub_ps(even, odd);
  out[3] = g2;
}

// G g G^T of 16 lanes. taps: nine places in memory, row-major.
inline __attribute__((always_inline)) void TransformTaps(const uint16_t* first, int64_t stride,
                                                         __m512* out) {
  __m512 half[3][4];  // [column][row]
#pragma GCC unroll 3
  for (int j = 0; j < 3; ++j) {
    WeightColumn(Load(first + j * stride), Load(first + (3 + j) * stride),
                 Load(first + (6 + j) * stride), half[j]);
  }
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) WeightColumn(half[0][i], half[1][i], half[2][i], out + 4 * i);
}

// Columns are what lies apart: [column][tap][inner].
void TransformWeightForward(const uint16_t* weight, int64_t inner, int64_t panel,
                            uint16_t* transformed) {
  __m512i rows[kPoints][kLanes];
  for (int64_t q = 0; q < kPanel; q += kLanes) {
    for (int64_t r = 0; r < inner; r += 2 * kLanes) {
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        const uint16_t* from = weight + (panel * kPanel + q + lane) * 9 * inner + r;
        __m512 low[kPoints], high[kPoints];
        TransformTaps(from, inner, low);
        TransformTaps(from + kLanes, inner, high);
        for (int i = 0; i < kPoints; ++i) {
          rows[i][lane] = (__m512i)_mm512_cvtne2ps_pbh(high[i], low[i]);
        }
      }
      for (int i = 0; i < kPoints; ++i) {
        __m512i columns[kLanes];
        Transpose(rows[i], columns);
        for (int64_t pair = 0; pair < kLanes; ++pair) {
          uint16_t* to = transformed + ((i * inner + r) / 2 + pair) * 2 * kPanel + 2 * q;
          _mm512_storeu_si512(to, columns[pair]);
        }
      }
    }
  }
}

// Columns are what lies side by side: [inner][tap][column], taps backwards.
void TransformWeightTransposed(const uint16_t* weight, int64_t inner, int64_t columns,
                               int64_t panel, uint16_t* transformed) {
  for (int64_t r = 0; r < inner; r += 2) {
    for (int64_t q = 0; q < kPanel; q += kLanes) {
      const uint16_t* from = weight + (r * 9 + 8) * columns + panel * kPanel + q;
      __m512 first[kPoints], second[kPoints];
      TransformTaps(from, -columns, first);
      TransformTaps(from + 9 * columns, -columns, second);
      for (int i = 0; i < kPoints; ++i) {
        _mm512_storeu_si512(transformed + (i * inner + r) * kPanel + 2 * q,
                            Interleave(first[i], second[i]));
      }
    }
  }
}

void TransformWeight(const uint16_t* weight, int64_t inner, int64_t columns, bool transposed,
                     int64_t panel, uint16_t* transformed) {
  if (transposed) {
    TransformWeightTransposed(weight, inner, columns, panel, transformed);
  } else {
    TransformWeightForward(weight, inner, panel, transformed);
  }
}

// A^T m A of one tile and 16 columns.
inline __attribute__((always_inline)) void TransformOutput(const float* m, int64_t stride,
                                                           __m512* out) {
  __m512 half[4][2];  // [column][row]
#pragma GCC unroll 4
  for (int j = 0; j < 4; ++j) {
    const __m512 m0 = _mm512_loadu_ps(m + j * stride);
    const __m512 m1 = _mm512_loadu_ps(m + (4 + j) * stride);
    const __m512 m2 = _mm512_loadu_ps(m + (8 + j) * stride);
    const __m512 m3 = _mm512_loadu_ps(m + (12 + j) * stride);
    half[j][0] = _mm512_add_ps(m0, _mm512_add_ps(m1, m2));
    half[j][1] = _mm512_sub_ps(_mm512_sub_ps(m1, m2), m3);
  }
#pragma GCC unroll 2
  for (int i = 0; i < 2; ++i) {
    out[2 * i] = _mm512_add_ps(half[0][i], _mm512_add_ps(half[1][i], half[2][i]));
    out[2 * i + 1] = _mm512_sub_ps(_mm512_sub_ps(half[1][i], half[2][i]), half[3][i]);
  }
}

void Convolve(const uint16_t* x, const WinogradPictures& pictures, int64_t inner,
              const uint16_t* weight, int64_t columns, int64_t begin, int64_t end,
              const uint16_t* zeros, uint16_t* v, float* m, uint16_t* y) {
  const int64_t tiles = end - begin;
  const TilePlace first = PlaceOf(pictures, begin);
  TilePlace at = first;
  for (int64_t t = 0; t < tiles; ++t, Advance(pictures, at)) {
    const uint16_t* rows[16];
    InputRows(pictures, at, x, inner, zeros, rows);
    for (int64_t c = 0; c < inner; c += kLanes) {
      __m512 points[kPoints];
      TransformInput(rows, c, points);
#pragma GCC unroll 16
      for (int i = 0; i < kPoints; ++i) Store(v + (i * tiles + t) * inner + c, points[i]);
    }
  }
  for (int64_t q = 0; q < columns; q += kPanel) {
    const uint16_t* u = weight + q * kWinogradPoints * inner;
    for (int64_t i = 0; i < kWinogradPoints; ++i) {
      MultiplyPanel(v + i * tiles * inner, tiles, inner, u + i * inner * kPanel,
                    FloatSums{m + i * tiles * kPanel});
    }
    at = first;
    for (int64_t t = 0; t < tiles; ++t, Advance(pictures, at)) {
      uint16_t* to =
          y + ((at.image * pictures.h + 2 * at.row) * pictures.w + 2 * at.column) * columns + q;
      const bool below = 2 * at.row + 1 < pictures.h;
      const bool right = 2 * at.column + 1 < pictures.w;
      for (int64_t c = 0; c < kPanel; c += kLanes) {
        __m512 out[4];
        TransformOutput(m + t * kPanel + c, tiles * kPanel, out);
        Store(to + c, out[0]);
        if (right) Store(to + columns + c, out[1]);
        if (below) Store(to + pictures.w * columns + c, out[2]);
        if (below && right) Store(to + (pictures.w + 1) * columns + c, out[3]);
      }
    }
  }
}

void PackInput(const uint16_t* x, const WinogradPictures& pictures, int64_t channels, int64_t begin,
               int64_t end, const uint16_t* zeros, int64_t first_pair, int64_t pairs,
               uint32_t* packed) {
  TilePlace at = PlaceOf(pictures, begin);
  const uint16_t* rows[2][16];
  for (int64_t t = begin; t < end; t += 2, ++first_pair) {
    InputRows(pictures, at, x, channels, zeros, rows[0]);
    Advance(pictures, at);
    if (t + 1 < end) {
      InputRows(pictures, at, x, channels, zeros, rows[1]);
      Advance(pictures, at);
    } else {
      for (const uint16_t*& row : rows[1]) row = zeros;
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
      __m512 a[kPoints], b[kPoints];
      TransformInput(rows[0], c, a);
      TransformInput(rows[1], c, b);
      uint32_t* to = packed + (c / kPanel * pairs + first_pair) * kPanel + c % kPanel;
#pragma GCC unroll 16
      for (int i = 0; i < kPoints; ++i) {
        _mm512_storeu_si512(to + i * pairs * channels, Interleave(a[i], b[i]));
      }
    }
  }
}

void PackGradient(const uint16_t* dy, const WinogradPictures& pictures, int64_t channels,
                  int64_t begin, int64_t end, const uint16_t* zeros, int64_t first_pair,
                  int64_t pairs, uint32_t* packed) {
  TilePlace at = PlaceOf(pictures, begin);
  const uint16_t* rows[2][4];
  for (int64_t t = begin; t < end; t += 2, ++first_pair) {
    GradientRows(pictures, at, dy, channels, zeros, rows[0]);
    Advance(pictures, at);
    if (t + 1 < end) {
      GradientRows(pictures, at, dy, channels, zeros, rows[1]);
      Advance(pictures, at);
    } else {
      for (const uint16_t*& row : rows[1]) row = zeros;
    }
    for (int64_t c = 0; c < channels; c += kLanes) {
      __m512 a[kPoints], b[kPoints];
      TransformGradient(rows[0], c, a);
      TransformGradient(rows[1], c, b);
      uint32_t* to = packed + (c / kLanes * pairs + first_pair) * kLanes;
#pragma GCC unroll 16
      for (int i = 0; i < kPoints; ++i) {
        _mm512_storeu_si512(to + i * pairs * channels, Interleave(a[i], b[i]));
      }
    }
  }
}

// next: the gradient's following rows, of as many pairs.
template <bool kAdd>
void AccumulateChunk(const uint32_t* input, const uint32_t* gradient, const uint32_t* next,
                     int64_t pairs, float* sums) {
  const FloatSums to{sums};
  MultiplyRows<6, kAdd>(gradient, 1, kLanes, input, pairs, next, to);
  MultiplyRows<5, kAdd>(gradient + 6, 1, kLanes, input, pairs, next, to.From(6));
  MultiplyRows<5, kAdd>(gradient + 11, 1, kLanes, input, pairs, next, to.From(11));
}

void Accumulate(const uint32_t* input, const uint32_t* gradient, int64_t pairs, int64_t rows,
                bool first, float* sums) {
  // As many pairs at a time as stay in a first-level cache of 32 KiB (24 KiB of input).
  constexpr int64_t kChunk = 96;
  const int64_t chunks = (pairs + kChunk - 1) / kChunk;
  const int64_t step = (pairs + chunks - 1) / chunks;
  for (int64_t p = 0; p < pairs; p += step) {
    const int64_t count = pairs - p < step ? pairs - p : step;
    for (int64_t r = 0; r < rows; r += kLanes) {
      const uint32_t* of_rows = gradient + r * pairs + p * kLanes;
      const uint32_t* next = of_rows + pairs * kLanes;
      if (first && p == 0) {
        AccumulateChunk<false>(input + p * kPanel, of_rows, next, count, sums + r * kPanel);
      } else {
        AccumulateChunk<true>(input + p * kPanel, of_rows, next, count, sums + r * kPanel);
      }
    }
  }
}

inline __m512 SumOfParts(const float* first, int64_t parts, int64_t stride) {
  __m512 sum = _mm512_loadu_ps(first);
  for (int64_t part = 1; part < parts; ++part) {
    sum = _mm512_add_ps(sum, _mm512_loadu_ps(first + part * stride));
  }
  return sum;
}

void FinishWeight(const float* sums, int64_t parts, int64_t part_stride, int64_t point_stride,
                  int64_t channels, int64_t panel, int64_t begin, int64_t end, uint16_t* dw) {
  const __m512 half = _mm512_set1_ps(0.5f);
  for (int64_t row = begin; row < end; ++row) {
    for (int64_t c = 0; c < kPanel; c += kLanes) {
      const float* from = sums + row * kPanel + c;
      uint16_t* to = dw + row * 9 * channels + panel * kPanel + c;
      __m512 taps[4][3];  // [column][row]
#pragma GCC unroll 4
      for (int j = 0; j < 4; ++j) {
        const __m512 s0 = SumOfParts(from + j * point_stride, parts, part_stride);
        const __m512 s1 = SumOfParts(from + (4 + j) * point_stride, parts, part_stride);
        const __m512 s2 = SumOfParts(from + (8 + j) * point_stride, parts, part_stride);
        const __m512 s3 = SumOfParts(from + (12 + j) * point_stride, parts, part_stride);
        const __m512 sum = _mm512_mul_ps(half, _mm512_add_ps(s1, s2));
        taps[j][0] = _mm512_add_ps(s0, sum);
        taps[j][1] = _mm512_mul_ps(half, _mm512_sub_ps(s1, s2));
        taps[j][2] = _mm512_add_ps(sum, s3);
      }
#pragma GCC unroll 3
      for (int i = 0; i < 3; ++i) {
        const __m512 sum = _mm512_mul_ps(half, _mm512_add_ps(taps[1][i], taps[2][i]));
        Store(to + (3 * i) * channels, _mm512_add_ps(taps[0][i], sum));
        Store(to + (3 * i + 1) * channels,
              _mm512_mul_ps(half, _mm512_sub_ps(taps[1][i], taps[2][i])));
        Store(to + (3 * i + 2) * channels, _mm512_add_ps(sum, taps[3][i]));
      }
    }
  }
}

}  // namespace

const WinogradKernels kWinogradAvx512Bf16 = {.isa = "avx512_bf16",
                                             .transform_weight = TransformWeight,
                                             .convolve = Convolve,
                                             .pack_input = PackInput,
                                             .pack_gradient = PackGradient,
                                             .accumulate = Accumulate,
                                             .finish_weight = FinishWeight};

}  // namespace mead::train
