// The box in the lower left corner of an endoscope's picture, in which the recorder draws where
// the scope is (Kvasir's frames have it): found, and painted over or cut away.
//
// It is no part of what the camera saw, and a network that reads it has learnt the examiner's
// habits. Unlike augmentation this says what a picture is, so it is done in training and
// evaluation alike, once, to the decoded pixels.
//
// How:    a rectangle of saturated green. A pixel is green if that channel is well above the
//         others, whatever the brightness. In the lower left quarter, the rows and the columns
//         where such pixels are dense are narrowed down in turns until they agree; what they
//         enclose is the box if it has a box's size, begins near the picture's left and lower
//         edges, is green for the most part (drawings in it are not) and ends sharply: what
//         surrounds it is not green, as a picture taken in green light is.
// Shape:  pixels is [height, width, 3], uint8, RGB, at any scale of decoding.
// Thread: pure functions; deterministic, in integers.
#pragma once

#include <cstdint>
#include <vector>

#include "common/augment/augment_plan.h"

namespace mead {

// The box with a margin for what compression and scaling smear; empty if there is none.
PixelBox FindPositionBox(const uint8_t* pixels, PictureSize size);

// Does what is asked for to a picture; one without a box is left as it is. Painting is black, as
// what surrounds an endoscope's picture is. Cutting keeps what lies above the box or what lies
// right of it, whichever holds the larger square. Returns the size from here on.
PictureSize TreatPositionBox(PositionBox treatment, PictureSize size, std::vector<uint8_t>& pixels);

}  // namespace mead
