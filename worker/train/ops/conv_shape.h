// A convolution's shape, as the kernels of this folder take it.
//
// Free of LibTorch and of the standard library's inline functions, see conv_weights_isa.h.
#pragma once

#include <cstdint>

namespace mead::train {

// Pictures [n, in_h, in_w, in_c] to [n, out_h, out_w, out_c]. Square kernels, the same
// stride and padding both ways, no dilation or groups.
struct ConvShape {
  int64_t n, in_h, in_w, in_c;
  int64_t out_h, out_w, out_c;
  int64_t kernel, stride, padding;
};

// Channels are dealt with in panels of up to so many: four vectors of AVX-512.
inline constexpr int64_t kConvPanelColumns = 64;
// And multiplied with so many rows (pixels, tiles) at once: the sums fill the registers.
inline constexpr int64_t kConvRowsAtOnce = 6;

}  // namespace mead::train
