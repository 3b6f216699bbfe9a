#include "worker/train/ops/conv_avx512_bf16.h"
#include "worker/train/ops/conv_weights_isa.h"

namespace mead::train {
namespace {

// packed: [out_c / 16][pairs][16], panels kConvPackedDy apart. Pixels are the outer
// loop, so that memory is read as it lies.
void PackDy(const uint16_t* const* rows, int64_t pairs, int64_t channels, uint32_t* packed) {
  for (int64_t p = 0; p < pairs; ++p) {
    const uint16_t* a = rows[2 * p];
    const uint16_t* b = rows[2 * p + 1];
    uint32_t* to = packed + p * kLanes;
    for (int64_t c = 0; c < channels; c += kLanes, to += kConvPackedDy) {
      _mm512_storeu_si512(to, Interleave(a + c, b + c));
    }
  }
}

// packed: [in_c / 64][pairs][64], panels kConvPackedX apart; a last panel that is
// narrower has its own width.
void PackX(const uint16_t* const* rows, int64_t pairs, int64_t channels, uint32_t* packed) {
  const int64_t full = channels / kConvPanelColumns;
  const int64_t rest = channels - full * kConvPanelColumns;
  for (int64_t p = 0; p < pairs; ++p) {
    const uint16_t* a = rows[2 * p];
    const uint16_t* b = rows[2 * p + 1];
    uint32_t* to = packed + p * kConvPanelColumns;
    for (int64_t panel = 0; panel < full; ++panel) {
      for (int64_t c = 0; c < kConvPanelColumns; c += kLanes) {
        _mm512_storeu_si512(to + c, Interleave(a + c, b + c));
      }
      a += kConvPanelColumns, b += kConvPanelColumns, to += kConvPackedX;
    }
    to = packed + full * kConvPackedX + p * rest;
    for (int64_t c = 0; c < rest; c += kLanes) {
      _mm512_storeu_si512(to + c, Interleave(a + c, b + c));
    }
  }
}

constexpr int64_t kLine = 64;

// Memory that the next chunk packs, fetched into the second-level cache while this
// one is multiplied: early layers would wait for it as long as they compute.
struct Ahead {
  // Rows of so many cache lines. Those after the last are of memory that is cached,
  // as many as one product may still ask for.
  struct Table {
    const uint16_t* rows[kConvChunkPixels + kConvChunkPixels / 2 + 1];
    int64_t count, lines;
  };
  Table tables[3];
  int used, at;
  int64_t row, line;
};

// sums[kRows][64] (+)= dy[pairs][kRows of 16] * x[pairs][16 * kVectors], the sums in
// registers throughout.
template <int kRows, int kVectors>
inline __attribute__((always_inline)) void Multiply(const uint32_t* x, const uint32_t* dy,
                                                    int64_t pairs, bool first, Ahead& ahead,
                                                    float* sums) {
  while (ahead.at < ahead.used && ahead.row >= ahead.tables[ahead.at].count) {
    ahead.row = ahead.line = 0;
    ++ahead.at;
  }
  const Ahead::Table& table = ahead.tables[ahead.at < ahead.used ? ahead.at : 0];
  const int64_t lines = table.lines;
  const uint16_t* const* row_ahead = table.rows + (ahead.at < ahead.used ? ahead.row : table.count);
  int64_t line = ahead.line;
  __m512 sum[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      sum[r][v] =
          first ? _mm512_setzero_ps() : _mm512_loadu_ps(sums + r * kConvPanelColumns + v * kLanes);
    }
  }
  for (int64_t p = 0; p < pairs; ++p) {
    __m512i column[kVectors];
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) column[v] = _mm512_loadu_si512(x + v * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const __m512i row = _mm512_set1_epi32(static_cast<int>(dy[r]));
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; ++v) {
        sum[r][v] = _mm512_dpbf16_ps(sum[r][v], (__m512bh)column[v], (__m512bh)row);
      }
    }
    x += kVectors * kLanes;
    dy += kLanes;
    _mm_prefetch(reinterpret_cast<const char*>(*row_ahead) + line * kLine, _MM_HINT_T1);
    const bool last = ++line == lines;
    row_ahead += last;
    line = last ? 0 : line;
  }
  ahead.row = row_ahead - table.rows;
  ahead.line = line;
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      _mm512_storeu_ps(sums + r * kConvPanelColumns + v * kLanes, sum[r][v]);
    }
  }
}

// One panel of columns times all rows of a block. 6 + 5 + 5 rows of 4 vectors: as
// many sums as there are registers for, out of what divides 16.
template <int kVectors>
void MultiplyPanel(const uint32_t* x, const uint32_t* dy, int64_t pairs, int64_t rows, bool first,
                   Ahead& ahead, float* sums) {
  for (int64_t r = 0; r < rows; r += kLanes) {
    Multiply<6, kVectors>(x, dy, pairs, first, ahead, sums);
    Multiply<5, kVectors>(x, dy + 6, pairs, first, ahead, sums + 6 * kConvPanelColumns);
    Multiply<5, kVectors>(x, dy + 11, pairs, first, ahead, sums + 11 * kConvPanelColumns);
    dy += kConvPackedDy;
    sums += kLanes * kConvPanelColumns;
  }
}

void MultiplyPanel(int64_t columns, const uint32_t* x, const uint32_t* dy, int64_t pairs,
                   int64_t rows, bool first, Ahead& ahead, float* sums) {
  switch (columns / kLanes) {
    case 1:
      return MultiplyPanel<1>(x, dy, pairs, rows, first, ahead, sums);
    case 2:
      return MultiplyPanel<2>(x, dy, pairs, rows, first, ahead, sums);
    case 3:
      return MultiplyPanel<3>(x, dy, pairs, rows, first, ahead, sums);
    default:
      return MultiplyPanel<4>(x, dy, pairs, rows, first, ahead, sums);
  }
}

// Where a chunk's output pixels lie in the input, for tap (0, 0).
struct Chunk {
  int64_t count;  // rounded up to even: the last may be of zeros
  int32_t y[kConvChunkPixels], x[kConvChunkPixels];
  int64_t offset[kConvChunkPixels];  // of the pixel at (y, x), in elements
};

void Locate(const ConvShape& s, int64_t begin, int64_t end, Chunk& chunk) {
  chunk.count = (end - begin + 1) / 2 * 2;
  const int64_t image_pixels = s.out_h * s.out_w;
  int64_t image = begin / image_pixels;
  int64_t row = begin % image_pixels / s.out_w;
  int64_t column = begin % s.out_w;
  for (int64_t i = 0; i < end - begin; ++i) {
    const int64_t y = row * s.stride - s.padding;
    const int64_t x = column * s.stride - s.padding;
    chunk.y[i] = static_cast<int32_t>(y);
    chunk.x[i] = static_cast<int32_t>(x);
    chunk.offset[i] = ((image * s.in_h + y) * s.in_w + x) * s.in_c;
    if (++column < s.out_w) continue;
    column = 0;
    if (++row < s.out_h) continue;
    row = 0;
    ++image;
  }
  if (chunk.count == end - begin) return;
  // Above every image, whatever the tap.
  chunk.y[chunk.count - 1] = chunk.x[chunk.count - 1] = INT32_MIN / 2;
  chunk.offset[chunk.count - 1] = 0;
}

// The input's pixels under a tap; zeros outside of the picture.
void TapRows(const ConvShape& s, const Chunk& chunk, int64_t tap, const uint16_t* x,
             const uint16_t* zeros, const uint16_t** rows) {
  const auto tap_y = static_cast<int32_t>(tap / s.kernel);
  const auto tap_x = static_cast<int32_t>(tap % s.kernel);
  const int64_t offset = (tap_y * s.in_w + tap_x) * s.in_c;
  const auto height = static_cast<uint32_t>(s.in_h);
  const auto width = static_cast<uint32_t>(s.in_w);
  for (int64_t i = 0; i < chunk.count; ++i) {
    const bool inside = (static_cast<uint32_t>(chunk.y[i] + tap_y) < height) &
                        (static_cast<uint32_t>(chunk.x[i] + tap_x) < width);
    rows[i] = inside ? x + (chunk.offset[i] + offset) : zeros;
  }
}

int64_t Min(int64_t a, int64_t b) { return a < b ? a : b; }

void FillAhead(const uint16_t* zeros, int64_t count, int64_t bytes, Ahead::Table& table) {
  table.count = count;
  table.lines = (bytes + kLine - 1) / kLine;
  for (int64_t i = count; i < count + kConvChunkPixels / 2 + 1; ++i) table.rows[i] = zeros;
}

// Of a chunk: what a block has not read for the pixels before it, the lower rows of
// its taps, as many as the stride.
void LookAhead(const uint16_t* x, const uint16_t* dy, const ConvShape& s, const ConvBlock& block,
               const Chunk& chunk, const uint16_t* zeros, Ahead& ahead) {
  ahead.at = 0;
  ahead.row = ahead.line = 0;
  ahead.used = 0;
  const int64_t panels_per_tap = (s.in_c + kConvPanelColumns - 1) / kConvPanelColumns;
  const bool within_tap =
      block.panel_begin / panels_per_tap == (block.panel_end - 1) / panels_per_tap;
  const int64_t c = within_tap ? block.panel_begin % panels_per_tap * kConvPanelColumns : 0;
  const int64_t channels =
      within_tap ? Min((block.panel_end - block.panel_begin) * kConvPanelColumns, s.in_c - c)
                 : s.in_c;
  const int64_t reach = s.kernel == 1 ? 1 : Min(s.stride, 2);
  const int64_t tap_y = (block.panel_end - 1) / panels_per_tap / s.kernel;
  for (int64_t i = 0; i < reach && i <= tap_y; ++i) {
    Ahead::Table& table = ahead.tables[ahead.used++];
    TapRows(s, chunk, (tap_y - i) * s.kernel + s.kernel / 2, x + c, zeros, table.rows);
    FillAhead(zeros, chunk.count, reach * channels * 2, table);
  }
  Ahead::Table& table = ahead.tables[ahead.used++];
  for (int64_t i = 0; i < chunk.count; ++i) {
    table.rows[i] = dy + i * s.out_c + block.out_c_begin;
  }
  FillAhead(zeros, chunk.count, (block.out_c_end - block.out_c_begin) * 2, table);
}

void Accumulate(const uint16_t* x, const uint16_t* dy, const ConvShape& s, const ConvBlock& block,
                const ConvScratch& scratch, float* sums) {
  const int64_t panels_per_tap = (s.in_c + kConvPanelColumns - 1) / kConvPanelColumns;
  const int64_t out_c = block.out_c_end - block.out_c_begin;
  // Chunks of like length: a short last one would be mostly reading and writing sums.
  const int64_t pixels = block.pixel_end - block.pixel_begin;
  const int64_t chunks = (pixels + kConvChunkPixels - 1) / kConvChunkPixels;
  const int64_t step = (pixels + 2 * chunks - 1) / (2 * chunks) * 2;
  const uint16_t* rows[kConvChunkPixels];
  Chunk chunk, next;
  Ahead ahead;
  Locate(s, block.pixel_begin, Min(block.pixel_begin + step, block.pixel_end), next);
  for (int64_t begin = block.pixel_begin; begin < block.pixel_end; begin += step) {
    const int64_t end = Min(begin + step, block.pixel_end);
    const bool first = begin == block.pixel_begin;
    chunk = next;
    const int64_t pairs = chunk.count / 2;
    for (int64_t i = 0; i < chunk.count; ++i) {
      rows[i] = begin + i < end ? dy + (begin + i) * s.out_c + block.out_c_begin : scratch.zeros;
    }
    PackDy(rows, pairs, out_c, scratch.packed_dy);
    // After the last chunk this one's memory is looked for again, which is cached.
    if (end < block.pixel_end) Locate(s, end, Min(end + step, block.pixel_end), next);
    const int64_t ahead_begin = end < block.pixel_end ? end : begin;
    LookAhead(x, dy + ahead_begin * s.out_c, s, block, next, scratch.zeros, ahead);
    for (int64_t panel = block.panel_begin; panel < block.panel_end;) {
      const int64_t tap = panel / panels_per_tap;
      const int64_t in_tap = panel - tap * panels_per_tap;
      const int64_t count = Min(panels_per_tap - in_tap, block.panel_end - panel);
      const int64_t c = in_tap * kConvPanelColumns;
      const int64_t channels = Min(count * kConvPanelColumns, s.in_c - c);
      TapRows(s, chunk, tap, x + c, scratch.zeros, rows);
      PackX(rows, pairs, channels, scratch.packed_x);
      for (int64_t i = 0; i < count; ++i) {
        MultiplyPanel(Min(kConvPanelColumns, channels - i * kConvPanelColumns),
                      scratch.packed_x + i * kConvPackedX, scratch.packed_dy, pairs, out_c, first,
                      ahead, sums + (panel + i - block.panel_begin) * out_c * kConvPanelColumns);
      }
      panel += count;
    }
  }
}

void Round(const float* sums, int64_t parts, int64_t part_stride, const ConvShape& s,
           const ConvBlock& block, uint16_t* dw) {
  const int64_t panels_per_tap = (s.in_c + kConvPanelColumns - 1) / kConvPanelColumns;
  for (int64_t panel = block.panel_begin; panel < block.panel_end; ++panel) {
    const int64_t tap = panel / panels_per_tap;
    const int64_t c = (panel - tap * panels_per_tap) * kConvPanelColumns;
    const int64_t columns = Min(kConvPanelColumns, s.in_c - c);
    for (int64_t o = block.out_c_begin; o < block.out_c_end; ++o) {
      uint16_t* to = dw + (o * s.kernel * s.kernel + tap) * s.in_c + c;
      for (int64_t column = 0; column < columns; column += kLanes) {
        __m512 total = _mm512_loadu_ps(sums + column);
        for (int64_t part = 1; part < parts; ++part) {
          total = _mm512_add_ps(total, _mm512_loadu_ps(sums + part * part_stride + column));
        }
        _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + column),
                            (__m256i)_mm512_cvtneps_pbh(total));
      }
      sums += kConvPanelColumns;
    }
  }
}

}  // namespace

const ConvWeightsKernels kConvWeightsAvx512Bf16 = {
    .isa = "avx512_bf16", .accumulate = Accumulate, .round = Round};

}  // namespace mead::train
