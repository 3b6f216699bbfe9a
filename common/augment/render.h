// Renders a plan on the CPU: rotation, flips, crop, resize and lighting in one pass over the
// output's pixels, and what is erased after it.
//
// Thread: pure functions, on the calling thread.
// Source: augment_math.h says what a pixel is; every instruction set gives the same bytes.
#pragma once

#include <cstdint>

#include "common/augment/augment_plan.h"

namespace mead {

// source: [size.height, size.width, 3], uint8, RGB; out: [image_size, image_size, 3], likewise.
void RenderAugmented(const uint8_t* source, PictureSize size, const AugmentPlan& plan,
                     int image_size, uint8_t* out);

}  // namespace mead
