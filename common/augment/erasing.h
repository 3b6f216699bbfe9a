// Random erasing: which part of an augmented picture is painted over, so that no single spot of
// it tells the class alone.
//
// Units:  pixels of the square output.
// Source: Zhong et al., Random Erasing Data Augmentation, AAAI 2020; the ranges and the ten
//         tries are torchvision's RandomErasing.
// Thread: a pure function; deterministic.
#pragma once

#include "common/augment/augment_plan.h"

namespace mead {

// An empty box with probability 1 - `probability`; otherwise 2 to 33 % of the picture, with sides
// in a ratio from 0.3 to 3.3, anywhere within it. Its numbers are a stream of their own: what
// else is drawn for the key does not depend on how many tries it takes.
PixelBox DrawErasing(const AugmentKey& key, double probability, int image_size);

}  // namespace mead
