// What the CPU's and the GPU's stem share: the shape and the winners.
//
// Shape:  x, dx are [images, height, width, channels], dense; channels is a multiple of 16.
//         y, dy, winner are [images, (height + 1) / 2, (width + 1) / 2, channels].
// Winner: which of the window's 3x3 elements y comes from, row by row, 0 to 8; of equals
//         the first, as in torch. kNoWinner where none is positive: y is 0 and no
//         gradient passes. It takes the place of the sign, so backward needs no beta.
#pragma once

#include <cstdint>

namespace mead::train {

struct PoolNormShape {
  int64_t images = 0;
  int64_t height = 0;  // of x
  int64_t width = 0;   // of x
  int64_t channels = 0;

  // In line always: the copy of a source of kernels (simd/tables.h) must stay there.
  [[gnu::always_inline]] int64_t pooled_height() const { return (height + 1) / 2; }
  [[gnu::always_inline]] int64_t pooled_width() const { return (width + 1) / 2; }
  // Of y, over all images.
  [[gnu::always_inline]] int64_t pooled_lines() const { return images * pooled_height(); }
};

inline constexpr uint8_t kNoWinner = 9;

}  // namespace mead::train
