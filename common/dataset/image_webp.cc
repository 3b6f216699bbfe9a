#include <webp/decode.h>

#include <cstring>

#include "common/dataset/exif.h"
#include "common/dataset/image_codecs.h"

namespace mead::dataset {
namespace {

absl::Status Features(std::span<const uint8_t> file, WebPBitstreamFeatures& features) {
  switch (WebPGetFeatures(file.data(), file.size(), &features)) {
    case VP8_STATUS_OK:
      break;
    case VP8_STATUS_NOT_ENOUGH_DATA:
      return absl::InvalidArgumentError("corrupt WebP: the file is cut off");
    default:
      return absl::InvalidArgumentError("corrupt WebP: its header cannot be read");
  }
  if (features.has_animation != 0) {
    return absl::InvalidArgumentError("animated WebP: store its pictures one by one");
  }
  return absl::OkStatus();
}

}  // namespace

bool IsWebp(std::span<const uint8_t> file) {
  return file.size() >= 12 && std::memcmp(file.data(), "RIFF", 4) == 0 &&
         std::memcmp(file.data() + 8, "WEBP", 4) == 0;
}

absl::StatusOr<ImageInfo> WebpHeader(std::span<const uint8_t> file) {
  WebPBitstreamFeatures features;
  if (absl::Status status = Features(file, features); !status.ok()) return status;
  ImageInfo info;
  info.format = ImageFormat::kWebp;
  info.width = features.width;
  info.height = features.height;
  info.orientation = WebpOrientation(file);
  return info;
}

absl::StatusOr<Image> WebpDecode(std::span<const uint8_t> file, const ImageInfo& stored) {
  WebPBitstreamFeatures features;
  if (absl::Status status = Features(file, features); !status.ok()) return status;
  const int channels = features.has_alpha != 0 ? 4 : 3;
  Image image{stored.width, stored.height, {}};
  image.pixels.resize(NumBytes(stored, channels));
  const auto decode = channels == 4 ? &WebPDecodeRGBAInto : &WebPDecodeRGBInto;
  if (decode(file.data(), file.size(), image.pixels.data(), image.pixels.size(),
             stored.width * channels) == nullptr) {
    return absl::InvalidArgumentError("corrupt WebP: damaged or cut off");
  }
  if (channels == 4) DropAlpha(image.pixels);
  return image;
}

}  // namespace mead::dataset
