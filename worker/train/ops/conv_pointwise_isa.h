// The inner loops of a 1x1 convolution on one thread, in one instruction set: one
// matrix product, pixels by channels.
//
// This header is free of LibTorch and of inline functions of the standard library, see
// conv_weights_isa.h.
#pragma once

#include <cstdint>

#include "worker/train/ops/conv_shape.h"

namespace mead::train {

// bfloat16 as its bits. inner and columns are multiples of kConvPanelColumns.
struct PointwiseKernels {
  const char* isa;
  // weight: [columns, inner], or [inner, columns] if `transposed`. Writes one panel of
  // columns, [inner / 2, 64, 2].
  void (*pack_weight)(const uint16_t* weight, int64_t inner, int64_t columns, bool transposed,
                      int64_t panel, uint16_t* packed);
  // x: [pixels, inner]. weight: all panels. Writes y: [pixels, columns].
  void (*multiply)(const uint16_t* x, int64_t pixels, int64_t inner, const uint16_t* weight,
                   int64_t columns, uint16_t* y);
};

#if defined(__x86_64__)
extern const PointwiseKernels kPointwiseAvx512Bf16;
#endif

}  // namespace mead::train
