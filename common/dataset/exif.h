// Which way up a picture was taken: the orientation that cameras write into a file's EXIF data.
//
// Values: 1 to 8, as EXIF has them: 1 is upright, 2 to 4 are mirrored or turned by 180 degrees, 5
//         to 8 lie on their side. Anything that cannot be read is 1, as viewers do.
// Source: Exif 2.32, tag 0x0112; PNG 1.5 extensions (eXIf); WebP container (EXIF).
// Thread: pure.
#pragma once

#include <cstdint>
#include <span>

#include "common/dataset/image.h"

namespace mead::dataset {

// In the APP1 segment of a JPEG, the eXIf chunk of a PNG, the EXIF chunk of a WebP file.
int JpegOrientation(std::span<const uint8_t> file);
int PngOrientation(std::span<const uint8_t> file);
int WebpOrientation(std::span<const uint8_t> file);

inline bool SwapsSides(int orientation) { return orientation >= 5; }

// The picture as it is meant to be seen.
Image Upright(Image image, int orientation);

}  // namespace mead::dataset
