// From a decoded picture to the network's square input, in one affine warp.
//
// Training:   a random square crop, rotated, flipped, lit, resampled bilinearly in one warp
//             (pixels outside the picture are mirrored).
// Evaluation: shorter side resized to the input's size (area averaging when it shrinks, bilinear
//             when it grows), then the centre crop.
// Thread: pure functions; deterministic.
#pragma once

#include <cstdint>

#include "common/dataset/image.h"

namespace mead::data {

enum class Flip : uint8_t { kNone = 0, kHorizontal = 1, kVertical = 2, kBoth = 3 };

struct AugmentOptions {
  double rotate = 0;  // degrees; the angle is uniform in [-rotate, rotate]; 0 to 180
  Flip flip = Flip::kHorizontal;
  // The crop's area as a share of the largest square that fits the picture; uniform in
  // [crop_lo, crop_hi]; 0 < lo <= hi <= 1. The place is random also for 1: along the longer side.
  double crop_lo = 1;
  double crop_hi = 1;
  double lighting = 0;  // brightness and contrast factors in [1 - lighting, 1 + lighting]; 0 to 1
};

// The side in pixels that the picture's shorter side should have at least before
// augmentation, so that the warp rarely magnifies; decoding may shrink down to it.
int DecodeSideFor(const AugmentOptions& options, int image_size);

// out: [image_size, image_size, 3] uint8 RGB. The random numbers are drawn from
// (seed, epoch, sample) alone.
void AugmentInto(const dataset::Image& image, const AugmentOptions& options, int image_size,
                 uint64_t seed, uint64_t epoch, uint64_t sample, uint8_t* out);

// out: [image_size, image_size, 3] uint8 RGB.
void ResizeCentreCropInto(const dataset::Image& image, int image_size, uint8_t* out);

}  // namespace mead::data
