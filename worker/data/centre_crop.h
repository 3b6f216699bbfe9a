// From a decoded picture to the network's square input, as evaluation sees it.
//
// The shorter side is resized to the input's size (area averaging when it shrinks, bilinear
// when it grows), then the centre is taken. Training's pictures: common/augment.
// Thread: pure; deterministic.
#pragma once

#include <cstdint>

#include "common/dataset/image.h"

namespace mead::data {

// out: [image_size, image_size, 3] uint8 RGB.
void ResizeCentreCropInto(const dataset::Image& image, int image_size, uint8_t* out);

}  // namespace mead::data
