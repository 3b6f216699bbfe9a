// The formats of pictures beside JPEG, one source each; image.h is the way to them.
//
// What *Header returns has the sides as the file stores them and has not been checked against
// image.h's limits; *Decode is for files whose header was, and gives the pixels as stored.
// Transparent pixels lie on black; 16 bits are scaled to 8.
// Errors: INVALID_ARGUMENT in words fit for a quarantine list.
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/dataset/image.h"

namespace mead::dataset {

bool IsPng(std::span<const uint8_t> file);
absl::StatusOr<ImageInfo> PngHeader(std::span<const uint8_t> file);
absl::StatusOr<Image> PngDecode(std::span<const uint8_t> file, const ImageInfo& stored);

bool IsWebp(std::span<const uint8_t> file);
absl::StatusOr<ImageInfo> WebpHeader(std::span<const uint8_t> file);
absl::StatusOr<Image> WebpDecode(std::span<const uint8_t> file, const ImageInfo& stored);

// Of several pages the first.
bool IsTiff(std::span<const uint8_t> file);
absl::StatusOr<ImageInfo> TiffHeader(std::span<const uint8_t> file);
absl::StatusOr<Image> TiffDecode(std::span<const uint8_t> file, const ImageInfo& stored);

// width x height x channels.
inline size_t NumBytes(const ImageInfo& info, int channels) {
  return static_cast<size_t>(info.width) * static_cast<size_t>(info.height) *
         static_cast<size_t>(channels);
}

// v * alpha / 255, rounded.
inline uint8_t OnBlack(uint8_t v, uint8_t alpha) {
  const unsigned product = static_cast<unsigned>(v) * alpha + 128;
  return static_cast<uint8_t>((product + (product >> 8)) >> 8);
}

// [n, 4] RGBA to [n, 3] RGB on black, in place.
inline void DropAlpha(std::vector<uint8_t>& pixels) {
  const size_t n = pixels.size() / 4;
  for (size_t i = 0; i < n; ++i) {
    const uint8_t alpha = pixels[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) pixels[3 * i + c] = OnBlack(pixels[4 * i + c], alpha);
  }
  pixels.resize(3 * n);
}

}  // namespace mead::dataset
