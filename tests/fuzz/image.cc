// A picture's file: what its header says holds for its pixels, at every scale.
#include "common/dataset/image.h"

#include <cstdlib>

namespace {

// Larger ones take time and show nothing new.
constexpr int kMostPixels = 1 << 16;

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  mead::dataset::ImageDecoder decoder;
  const std::span<const uint8_t> file(data, bytes);
  const auto info = decoder.Info(file);
  if (!info.ok()) return 0;  // what most input gives
  if (info->width < mead::dataset::kMinImageSide || info->height > mead::dataset::kMaxImageSide) {
    std::abort();
  }
  if (info->width * info->height > kMostPixels) return 0;
  const auto whole = decoder.Decode(file);
  if (whole.ok() && (whole->width != info->width || whole->height != info->height)) std::abort();
  for (const auto& image : {whole, decoder.Decode(file, 16)}) {
    if (!image.ok()) continue;
    const size_t pixels = static_cast<size_t>(image->width) * static_cast<size_t>(image->height);
    if (image->pixels.size() != 3 * pixels) std::abort();
  }
  return 0;
}
