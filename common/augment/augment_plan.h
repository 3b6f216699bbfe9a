// What is done to a picture on its way into a training batch, as a pure function of the seed.
//
// A random square crop, rotated, flipped and lit, now and then with a part erased. The plan is
// all there is to it: whoever renders it (render.h on a CPU, worker/train/input on a GPU) gets
// the same bytes.
// Thread: pure functions; deterministic.
#pragma once

#include <cstdint>
#include <string>

#include "common/augment/augment_math.h"

namespace mead {

enum class Flip : uint8_t { kNone = 0, kHorizontal = 1, kVertical = 2, kBoth = 3 };

// What becomes of the box in which an endoscope's recorder draws where it is (position_box.h): it
// stays, is painted black, or the picture is cut so that it is outside.
enum class PositionBox : uint8_t { kKeep, kMask, kCrop };

struct AugmentOptions {
  double rotate = 0;  // degrees; the angle is uniform in [-rotate, rotate]; 0 to 180
  Flip flip = Flip::kHorizontal;
  // The crop's area as a share of the largest square that fits the picture; uniform in
  // [crop_lo, crop_hi]; 0 < lo <= hi <= 1. The place is random also for 1: along the longer side.
  double crop_lo = 1;
  double crop_hi = 1;
  double lighting = 0;  // brightness and contrast factors in [1 - lighting, 1 + lighting]; 0 to 1
  double erasing = 0;   // the probability that a rectangle is erased (erasing.h); 0 to 1
  // Before all this, and in evaluation as well: it says what a picture is.
  PositionBox position_box = PositionBox::kKeep;
};

// The first setting that is out of its range, in words ("augment.rotate is 200: expected 0 to 180
// degrees"); empty if none is. What follows expects none.
std::string ProblemOf(const AugmentOptions& options);

// Which random numbers: the same four always give the same ones.
struct AugmentKey {
  uint64_t seed = 0;
  uint64_t epoch = 0;
  uint64_t sample = 0;
  uint64_t turn = 0;  // of a sample that an epoch uses several times, from 0
};

struct PictureSize {
  int width = 0;  // pixels; 1 to 16384 each
  int height = 0;
  bool operator==(const PictureSize&) const = default;
};

// The side in pixels that the picture's shorter side should have at least before
// augmentation, so that the warp rarely magnifies; decoding may shrink down to it.
int DecodeSideFor(const AugmentOptions& options, int image_size);

// The centre of the picture, all of its shorter side: nothing is drawn.
AugmentPlan PlainPlan(PictureSize size, int image_size);

// size: of the decoded picture; image_size: the side of the square output, pixels.
AugmentPlan DrawAugmentation(const AugmentKey& key, const AugmentOptions& options, PictureSize size,
                             int image_size);

}  // namespace mead
