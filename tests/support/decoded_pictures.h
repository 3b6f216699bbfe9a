// Decoded pictures for tests of the stores that keep them.
#pragma once

#include <memory>

#include "common/dataset/image.h"
#include "worker/data/mapped_store.h"

namespace mead::testing {

// The pixels of picture i, the same in every process.
inline std::shared_ptr<const dataset::Image> DecodedImage(size_t i) {
  auto image = std::make_shared<dataset::Image>();
  image->width = 40 + static_cast<int>(i % 7);
  image->height = 30 + static_cast<int>(i % 5);
  const auto bytes = size_t{3} * static_cast<size_t>(image->width * image->height);
  for (size_t b = 0; b < bytes; ++b) {
    image->pixels.push_back(static_cast<uint8_t>(b * (i + 1) >> 3 ^ i));
  }
  return image;
}

inline bool Equals(const data::DecodedPicture& picture, const dataset::Image& image) {
  return picture.size == PictureSize{image.width, image.height} &&
         std::equal(image.pixels.begin(), image.pixels.end(), picture.pixels);
}

// A store of DecodedImage(0) to DecodedImage(pictures - 1), with room for all.
inline data::MappedStoreOptions MappedOptions(const std::string& dir, size_t pictures) {
  data::MappedStoreOptions options;
  options.cache.dir = dir;
  options.cache.limit_bytes = uint64_t{1} << 30;
  options.cache.keep_free_bytes = 0;
  options.cache.dataset_digest = "sha256:" + std::string(64, 'a');
  options.kind.decode_side = 32;
  for (size_t i = 0; i < pictures; ++i) {
    options.max_bytes.push_back(DecodedImage(i)->pixels.size());
  }
  return options;
}

}  // namespace mead::testing
