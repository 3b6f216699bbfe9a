// The inner loops of a 3x3 convolution by Winograd's minimal filtering F(2x2, 3x3),
// on one thread, in one instruction set.
//
// Output is made in tiles of 2x2 pixels, each from 4x4 pixels of the input:
//   Y = A^T [ (G g G^T) * (B^T d B) ] A
// with one multiplication per point of the 4x4 where the plain sum needs 36 for the
// four pixels: 2.25 times fewer. Summed over channels, each of the 16 points is a
// matrix product over tiles. The gradient of the input is the same with the taps
// turned round; that of the weight is G^T [ (B^T d B) * (A y A^T) ] G, summed over
// tiles instead of channels.
//
// Transforms are float32; what the products take is rounded to bfloat16, their sums
// are float32.
//
// This header is free of LibTorch and of inline functions of the standard library:
// a copy of one compiled for AVX-512 must never be linked into code that runs
// everywhere.
// Source: Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks",
//         arXiv:1509.09308, section 4.1.
#pragma once

#include <cstdint>

#include "worker/train/ops/conv_shape.h"

namespace mead::train {

inline constexpr int64_t kWinogradPoints = 16;

// Pictures [n, h, w, channels], channels_last, with multiples of kConvPanelColumns
// channels. One pixel of padding, stride 1.
struct WinogradPictures {
  int64_t n, h, w;

  // In line always, for the reason above.
  [[gnu::always_inline]] int64_t tile_rows() const { return (h + 1) / 2; }
  [[gnu::always_inline]] int64_t tile_columns() const { return (w + 1) / 2; }
  [[gnu::always_inline]] int64_t tiles() const { return n * tile_rows() * tile_columns(); }
};

// bfloat16 as its bits.
struct WinogradKernels {
  const char* isa;

  // weight: [columns, 3, 3, inner], or [inner, 3, 3, columns] with the taps read
  // backwards if `transposed`. Writes the transformed weights of one panel of columns,
  // [16, inner / 2, 64, 2].
  void (*transform_weight)(const uint16_t* weight, int64_t inner, int64_t columns, bool transposed,
                           int64_t panel, uint16_t* transformed);

  // y's tiles [begin, end), [n, h, w, columns] from x, [n, h, w, inner].
  // weight: [columns / 64, 16, inner / 2, 64, 2]. zeros: [inner].
  // v: [16, end - begin, inner], m: [16, end - begin, 64], scratch.
  void (*convolve)(const uint16_t* x, const WinogradPictures& pictures, int64_t inner,
                   const uint16_t* weight, int64_t columns, int64_t begin, int64_t end,
                   const uint16_t* zeros, uint16_t* v, float* m, uint16_t* y);

  // B^T d B of tiles [begin, end), an even number apart from the last tile of all, whose
  // partner becomes zero. Writes [16][channels / 64][pairs][64, 2] from pair `first_pair`
  // on, of `pairs` in all. zeros: [channels].
  void (*pack_input)(const uint16_t* x, const WinogradPictures& pictures, int64_t channels,
                     int64_t begin, int64_t end, const uint16_t* zeros, int64_t first_pair,
                     int64_t pairs, uint32_t* packed);
  // A y A^T of the gradient's tiles, [16][channels / 16][pairs][16, 2]; otherwise as above.
  void (*pack_gradient)(const uint16_t* dy, const WinogradPictures& pictures, int64_t channels,
                        int64_t begin, int64_t end, const uint16_t* zeros, int64_t first_pair,
                        int64_t pairs, uint32_t* packed);
  // sums: [rows, 64] of one point and one panel of columns; added to unless `first`.
  // input: [pairs][64, 2]. gradient: [rows / 16][pairs][16, 2].
  void (*accumulate)(const uint32_t* input, const uint32_t* gradient, int64_t pairs, int64_t rows,
                     bool first, float* sums);
  // G^T s G, s the sum of `parts`, in order. sums: [parts][16][rows, 64], parts and points so
  // far apart. Writes dw's rows [begin, end), [rows, 3, 3, channels], in this panel of columns.
  void (*finish_weight)(const float* sums, int64_t parts, int64_t part_stride, int64_t point_stride,
                        int64_t channels, int64_t panel, int64_t begin, int64_t end, uint16_t* dw);
};

#if defined(__x86_64__)
extern const WinogradKernels kWinogradAvx512Bf16;
#endif

}  // namespace mead::train
