// What is kept of a picture to tell whether another one shows the same: a small grey copy.
//
// Both sides are scaled to kThumbnailSide, whatever the picture's shape, so that a crop or another
// size of a picture has nearly the same thumbnail.
// Shape:  [kThumbnailSide, kThumbnailSide] uint8, luma.
// Thread: pure functions. Integers only: the same picture gives the same bytes on any machine.
#pragma once

#include <array>
#include <cstdint>

#include "common/dataset/image.h"

namespace mead::dataset {

inline constexpr int kThumbnailSide = 48;

// Large enough a decode for a thumbnail without invented pixels (ImageDecoder::Decode's min_side).
inline constexpr int kThumbnailDecodeSide = 64;

struct Thumbnail {
  std::array<uint8_t, kThumbnailSide * kThumbnailSide> luma{};
  bool operator==(const Thumbnail&) const = default;
};

// Averages the pixels that each of the thumbnail's cells covers. Any size from 1x1 on.
Thumbnail MakeThumbnail(const Image& image);

}  // namespace mead::dataset
