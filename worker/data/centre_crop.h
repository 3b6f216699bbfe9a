// From a decoded picture to the network's square input, as evaluation sees it.
//
// The shorter side is resized to the input's size (area averaging when it shrinks, bilinear
// when it grows), then the centre is taken. Training's pictures: common/augment.
// Thread: pure; deterministic.
#pragma once

#include <cstdint>

#include "common/augment/augment_plan.h"

namespace mead::data {

// pixels: [size.height, size.width, 3], out: [image_size, image_size, 3]; uint8 RGB.
void ResizeCentreCropInto(const uint8_t* pixels, PictureSize size, int image_size, uint8_t* out);

}  // namespace mead::data
