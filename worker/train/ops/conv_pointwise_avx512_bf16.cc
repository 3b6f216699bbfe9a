#include "worker/train/ops/conv_avx512_bf16.h"
#include "worker/train/ops/conv_pointwise_isa.h"

namespace mead::train {
namespace {

void PackWeight(const uint16_t* weight, int64_t inner, int64_t columns, bool transposed,
                int64_t panel, uint16_t* packed) {
  const int64_t first = panel * kConvPanelColumns;
  for (int64_t column = 0; column < kConvPanelColumns; column += kLanes) {
    uint16_t* to = packed + 2 * column;
    if (transposed) {
      const uint16_t* from = weight + first + column;
      for (int64_t r = 0; r < inner; r += 2) {
        _mm512_storeu_si512(to + r * kConvPanelColumns,
                            Interleave(from + r * columns, from + (r + 1) * columns));
      }
      continue;
    }
    for (int64_t r = 0; r < inner; r += 2 * kLanes) {
      __m512i rows[kLanes], pairs[kLanes];
      for (int64_t lane = 0; lane < kLanes; ++lane) {
        rows[lane] = _mm512_loadu_si512(weight + (first + column + lane) * inner + r);
      }
      Transpose(rows, pairs);
      for (int64_t pair = 0; pair < kLanes; ++pair) {
        _mm512_storeu_si512(to + (r + 2 * pair) * kConvPanelColumns, pairs[pair]);
      }
    }
  }
}

void Multiply(const uint16_t* x, int64_t pixels, int64_t inner, const uint16_t* weight,
              int64_t columns, uint16_t* y) {
  for (int64_t first = 0; first < columns; first += kConvPanelColumns) {
    MultiplyPanel(x, pixels, inner, weight + first * inner, RoundedSums{y + first, columns});
  }
}

}  // namespace

const PointwiseKernels kPointwiseAvx512Bf16 = {
    .isa = "avx512_bf16", .pack_weight = PackWeight, .multiply = Multiply};

}  // namespace mead::train
