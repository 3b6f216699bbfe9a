// The inner loops of a convolution's weight gradient on one thread, in one
// instruction set.
//
// dW[o][t][i] = sum over output pixels p of dY[p][o] * X[p moved by tap t][i]: one
// matrix product, with output pixels as its inner dimension and (tap, input
// channel) as its columns. Those are what a weight is in memory when channels_last
// ([out_c, kernel, kernel, in_c]), so the product is written where it belongs.
//
// This header is free of LibTorch and of inline functions of the standard library:
// a copy of one compiled for AVX-512 must never be linked into code that runs
// everywhere.
#pragma once

#include <cstdint>

#include "worker/train/ops/conv_shape.h"

namespace mead::train {

// Output pixels that are packed at a time: a panel of them (24 KiB) and what is
// multiplied with it stay in a first-level cache of 32 KiB.
inline constexpr int64_t kConvChunkPixels = 192;

// A part of the product: these pixels' share of these rows and columns.
struct ConvBlock {
  int64_t pixel_begin, pixel_end;
  int64_t out_c_begin, out_c_end;  // multiples of 16
  int64_t panel_begin, panel_end;  // of taps * ceil(in_c / 64)
};

// One thread's memory, of the sizes that the shape and the largest block need.
struct ConvScratch {
  const uint16_t* zeros;  // [max(in_c, out_c)]
  uint32_t* packed_x;     // ConvPackedX elements
  uint32_t* packed_dy;    // ConvPackedDy elements
};

// Elements per panel, of one pair of pixels each. The odd line keeps panels from
// starting in the same set of a cache.
inline constexpr int64_t kConvPackedX = (kConvChunkPixels / 2) * kConvPanelColumns + 16;
inline constexpr int64_t kConvPackedDy = (kConvChunkPixels / 2) * 16 + 16;  // per 16 out_c

// bfloat16 as its bits, aligned as any. in_c and out_c are multiples of 16.
struct ConvWeightsKernels {
  const char* isa;
  // Writes sums, [panels of the block, out_c of the block, 64].
  void (*accumulate)(const uint16_t* x, const uint16_t* dy, const ConvShape& shape,
                     const ConvBlock& block, const ConvScratch& scratch, float* sums);
  // Adds up what accumulate wrote for `parts` ranges of pixels, in order, `part_stride`
  // apart, and rounds it into the block's place in dw.
  void (*round)(const float* sums, int64_t parts, int64_t part_stride, const ConvShape& shape,
                const ConvBlock& block, uint16_t* dw);
};

#if defined(__x86_64__)
extern const ConvWeightsKernels kConvWeightsAvx512Bf16;
#endif

}  // namespace mead::train
