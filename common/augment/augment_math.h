// The arithmetic of one augmented pixel: one text for the CPU's vectors and the GPU.
//
// Everything is integers, so that every processor gives the same bytes: there is no rounding
// for a compiler to choose, and no product for it to fuse with a sum. An output pixel is
//
//   level = gain * bilinear(picture, to_input(x, y)) + offset, rounded once
//
// with the picture mirrored about its outermost pixels where to_input leaves it (OpenCV's
// BORDER_REFLECT_101).
// Units:  fixed-point numbers; the fields and functions say how many bits follow the point.
// Source: at least as exact as cv::warpAffine, whose weights have 5 bits and whose levels are
//         rounded before the lighting as well as after it.
// Functions have internal linkage: the file is compiled for several instruction sets, and a
// copy for a newer one must never be linked into code that runs everywhere.
#pragma once

#include <cstdint>

#include "common/base/host_device.h"

namespace mead {

// A rectangle of an output's pixels; without width or height it holds none.
struct PixelBox {
  int32_t left = 0, top = 0;
  int32_t width = 0, height = 0;

  bool operator==(const PixelBox&) const = default;
};

MEAD_HOST_DEVICE static inline bool Holds(const PixelBox& box, int32_t x, int32_t y) {
  return x >= box.left && x < box.left + box.width && y >= box.top && y < box.top + box.height;
}

// What becomes of one picture in one epoch.
struct AugmentPlan {
  // Input pixel = (xx * x + xy * y + x0, yx * x + yy * y + y0) of output pixel (x, y), both
  // counted from pixel centres; 32 bits follow the point.
  int64_t xx = 0, xy = 0, x0 = 0;
  int64_t yx = 0, yy = 0, y0 = 0;
  int32_t gain = 0;      // 12 bits follow the point; [0, 4]
  int32_t offset = 0;    // in levels; 20 bits follow the point; [-256, 256]
  PixelBox erased = {};  // painted over with ErasedLevel, after the lighting

  bool operator==(const AugmentPlan&) const = default;
};

inline constexpr int kPositionBits = 32;     // after the point of the plan's positions
inline constexpr int kRunPositionBits = 16;  // of positions within a run
inline constexpr int kFractionBits = 11;     // of what bilinear weights are made of
inline constexpr int kLevelBits = 8;         // of a level before the lighting
inline constexpr int kGainBits = 12;
inline constexpr int kOffsetBits = kLevelBits + kGainBits;
// Positions are exact at the first of each run of output pixels, and 32 bits wide within it.
inline constexpr int kRun = 16;

// Of one coordinate along a run.
struct RunPositions {
  int32_t first;
  int32_t step;
};

// across, down, origin: the plan's xx, xy, x0 or yx, yy, y0; x: the run's first output pixel.
MEAD_HOST_DEVICE static inline RunPositions RunOf(int64_t across, int64_t down, int64_t origin,
                                                  int x, int y) {
  // Weights are rounded to the nearest, positions within a run are cut off.
  constexpr int64_t kHalfFraction = int64_t{1} << (kPositionBits - kFractionBits - 1);
  constexpr int kShift = kPositionBits - kRunPositionBits;
  return {static_cast<int32_t>((across * x + down * y + origin + kHalfFraction) >> kShift),
          static_cast<int32_t>((across + (int64_t{1} << (kShift - 1))) >> kShift)};
}

// From here on I is int32_t, or a vector of it.

// The coordinate of pixel `place` of the run; kFractionBits follow the point.
template <typename I>
MEAD_HOST_DEVICE static inline I PositionIn(RunPositions run, I place) {
  return (run.first + run.step * place) >> (kRunPositionBits - kFractionBits);
}

template <typename I>
MEAD_HOST_DEVICE static inline I WholePart(I position) {
  return position >> kFractionBits;
}

template <typename I>
MEAD_HOST_DEVICE static inline I Fraction(I position) {
  return position & ((1 << kFractionBits) - 1);
}

// Of four neighbours, [0, 255] each; kLevelBits follow the result's point.
template <typename I>
MEAD_HOST_DEVICE static inline I Bilinear(I top_left, I top_right, I bottom_left, I bottom_right,
                                          I fraction_x, I fraction_y) {
  constexpr int kOne = 1 << kFractionBits;
  constexpr int kShift = 2 * kFractionBits - kLevelBits;
  const I top = top_left * kOne + (top_right - top_left) * fraction_x;
  const I bottom = bottom_left * kOne + (bottom_right - bottom_left) * fraction_x;
  return (top * kOne + (bottom - top) * fraction_y + (1 << (kShift - 1))) >> kShift;
}

// level: kLevelBits follow the point. Returns [0, 255].
template <typename I>
MEAD_HOST_DEVICE static inline I Lit(I level, int32_t gain, int32_t offset) {
  const I sum = (level * gain + (offset + (1 << (kOffsetBits - 1)))) >> kOffsetBits;
  const I not_below = sum < 0 ? sum * 0 : sum;
  return not_below > 255 ? not_below * 0 + 255 : not_below;
}

// The mean colour of ImageNet's pictures, which the network's input counts from: normalised it is
// as near to nothing as a level comes.
MEAD_HOST_DEVICE static inline uint8_t ErasedLevel(int channel) {
  return channel == 0 ? 124 : channel == 1 ? 116 : 104;
}

// The pixel of a line of n that stands for place i, mirrored without repeating the ends.
MEAD_HOST_DEVICE static inline int32_t Mirrored(int32_t i, int32_t n) {
  if (i >= 0 && i < n) return i;
  if (n == 1) return 0;
  const int32_t period = 2 * (n - 1);
  const int32_t folded = (i < 0 ? -i : i) % period;
  return folded < n ? folded : period - folded;
}

// The output pixel at a position (kFractionBits follow the point), inside the picture or not.
// source: [height, width, 3], uint8; out: [3].
MEAD_HOST_DEVICE static inline void AugmentedPixel(const uint8_t* source, int32_t width,
                                                   int32_t height, int32_t in_x, int32_t in_y,
                                                   int32_t gain, int32_t offset, uint8_t* out) {
  const int32_t left = 3 * Mirrored(WholePart(in_x), width);
  const int32_t right = 3 * Mirrored(WholePart(in_x) + 1, width);
  const uint8_t* top = source + int64_t{3} * width * Mirrored(WholePart(in_y), height);
  const uint8_t* bottom = source + int64_t{3} * width * Mirrored(WholePart(in_y) + 1, height);
  for (int c = 0; c < 3; ++c) {
    const int32_t level = Bilinear<int32_t>(top[left + c], top[right + c], bottom[left + c],
                                            bottom[right + c], Fraction(in_x), Fraction(in_y));
    out[c] = static_cast<uint8_t>(Lit(level, gain, offset));
  }
}

}  // namespace mead
