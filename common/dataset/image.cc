#include "common/dataset/image.h"

#include <jconfig.h>
#include <turbojpeg.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/dataset/exif.h"
#include "common/dataset/image_codecs.h"

namespace mead::dataset {
namespace {

bool IsJpeg(std::span<const uint8_t> file) {
  return file.size() >= 2 && file[0] == 0xFF && file[1] == 0xD8;
}

absl::Status Bad(const std::string& reason) { return absl::InvalidArgumentError(reason); }

absl::Status CheckSides(int width, int height) {
  const std::string size = absl::StrCat(width, "x", height, " pixels: ");
  if (std::min(width, height) < kMinImageSide) {
    return Bad(absl::StrCat(size, "smaller than ", kMinImageSide, " a side"));
  }
  if (std::max(width, height) > kMaxImageSide) {
    return Bad(absl::StrCat(size, "larger than ", kMaxImageSide, " a side"));
  }
  if (int64_t{width} * height > kMaxImagePixels) {
    return Bad(absl::StrCat(size, "more than ", kMaxImagePixels / 1'000'000, " megapixels"));
  }
  return absl::OkStatus();
}

// libjpeg decodes what it can and warns. Bytes between two markers are harmless and common; every
// other warning means that part of the picture was made up.
bool IsHarmlessWarning(const std::string& message) {
  return message.find("extraneous bytes before marker") != std::string::npos;
}

// Inverted CMYK, as Adobe writes it, to RGB, in place.
// Source: Pillow's cmyk2rgb (src/libImaging/Convert.c).
void CmykToRgb(std::vector<uint8_t>& pixels) {
  const size_t n = pixels.size() / 4;
  for (size_t i = 0; i < n; ++i) {
    const uint8_t light = pixels[4 * i + 3];
    for (size_t c = 0; c < 3; ++c) {
      const auto ink = static_cast<uint8_t>(255 - pixels[4 * i + c]);
      pixels[3 * i + c] = static_cast<uint8_t>(light - OnBlack(ink, light));
    }
  }
  pixels.resize(3 * n);
}

}  // namespace

struct ImageDecoder::Handle {
  tjhandle jpeg = tjInitDecompress();
  ~Handle() { tjDestroy(jpeg); }

  // A decompressor that failed keeps pieces of the bad file and refuses good ones after it
  // (libjpeg-turbo 2.1): have a new one.
  void Renew() {
    tjDestroy(jpeg);
    jpeg = tjInitDecompress();
  }

  absl::StatusOr<ImageInfo> JpegHeader(std::span<const uint8_t> file);
  // As stored, by 1/1, 1/2, 1/4 or 1/8.
  absl::StatusOr<Image> JpegDecode(std::span<const uint8_t> file, const ImageInfo& stored,
                                   int min_side);
  // As stored.
  absl::StatusOr<ImageInfo> Header(std::span<const uint8_t> file);

  bool cmyk = false;  // of the JPEG whose header was read last
};

ImageDecoder::ImageDecoder() : handle_(std::make_unique<Handle>()) {}
ImageDecoder::~ImageDecoder() = default;
ImageDecoder::ImageDecoder(ImageDecoder&&) noexcept = default;
ImageDecoder& ImageDecoder::operator=(ImageDecoder&&) noexcept = default;

absl::StatusOr<ImageInfo> ImageDecoder::Handle::JpegHeader(std::span<const uint8_t> file) {
  ImageInfo info;
  int subsampling = 0;
  int colour_space = 0;
  if (tjDecompressHeader3(jpeg, file.data(), file.size(), &info.width, &info.height, &subsampling,
                          &colour_space) != 0 &&
      tjGetErrorCode(jpeg) == TJERR_FATAL) {
    const std::string reason = tjGetErrorStr2(jpeg);
    Renew();
    return Bad(absl::StrCat("corrupt JPEG: ", reason));
  }
  if (info.width == 0 || info.height == 0) {
    Renew();
    return Bad("corrupt JPEG: no picture in it");
  }
  cmyk = colour_space == TJCS_CMYK || colour_space == TJCS_YCCK;
  info.orientation = JpegOrientation(file);
  return info;
}

absl::StatusOr<ImageInfo> ImageDecoder::Handle::Header(std::span<const uint8_t> file) {
  if (file.empty()) return Bad("empty file");
  if (IsJpeg(file)) return JpegHeader(file);
  if (IsPng(file)) return PngHeader(file);
  if (IsWebp(file)) return WebpHeader(file);
  if (IsTiff(file)) return TiffHeader(file);
  return Bad(absl::StrCat("not a ", kImageFormats, " picture"));
}

absl::StatusOr<Image> ImageDecoder::Handle::JpegDecode(std::span<const uint8_t> file,
                                                       const ImageInfo& stored, int min_side) {
  // The scales whose inverse transforms libjpeg-turbo has in SIMD; the ones between are slower
  // than decoding more pixels.
  tjscalingfactor scale = {1, 1};
  if (min_side > 0) {
    for (int denominator : {8, 4, 2}) {
      const tjscalingfactor smaller = {1, denominator};
      if (std::min(TJSCALED(stored.width, smaller), TJSCALED(stored.height, smaller)) >= min_side) {
        scale = smaller;
        break;
      }
    }
  }
  Image image;
  image.width = TJSCALED(stored.width, scale);
  image.height = TJSCALED(stored.height, scale);
  image.pixels.resize(size_t{cmyk ? 4u : 3u} * static_cast<size_t>(image.width) *
                      static_cast<size_t>(image.height));
  if (tjDecompress2(jpeg, file.data(), file.size(), image.pixels.data(), image.width, 0,
                    image.height, cmyk ? TJPF_CMYK : TJPF_RGB, 0) != 0) {
    const std::string message = tjGetErrorStr2(jpeg);
    const bool fatal = tjGetErrorCode(jpeg) == TJERR_FATAL;
    Renew();
    if (fatal || !IsHarmlessWarning(message)) return Bad(absl::StrCat("corrupt JPEG: ", message));
  }
  if (cmyk) CmykToRgb(image.pixels);
  return image;
}

absl::StatusOr<ImageInfo> ImageDecoder::Info(std::span<const uint8_t> file) {
  absl::StatusOr<ImageInfo> info = handle_->Header(file);
  if (!info.ok()) return info;
  if (SwapsSides(info->orientation)) std::swap(info->width, info->height);
  if (absl::Status status = CheckSides(info->width, info->height); !status.ok()) return status;
  return info;
}

absl::StatusOr<Image> ImageDecoder::Decode(std::span<const uint8_t> file, int min_side) {
  absl::StatusOr<ImageInfo> stored = Info(file);
  if (!stored.ok()) return stored.status();
  if (SwapsSides(stored->orientation)) std::swap(stored->width, stored->height);
  absl::StatusOr<Image> image;
  switch (stored->format) {
    case ImageFormat::kJpeg:
      image = handle_->JpegDecode(file, *stored, min_side);
      break;
    case ImageFormat::kPng:
      image = PngDecode(file, *stored);
      break;
    case ImageFormat::kWebp:
      image = WebpDecode(file, *stored);
      break;
    case ImageFormat::kTiff:
      image = TiffDecode(file, *stored);
      break;
  }
  if (!image.ok()) return image;
  return Upright(*std::move(image), stored->orientation);
}

#define MEAD_TEXT_(x) #x
#define MEAD_TEXT(x) MEAD_TEXT_(x)
std::string DecoderVersion() {
  return "decoder 2, libjpeg-turbo " MEAD_TEXT(LIBJPEG_TURBO_VERSION);
}

absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality) {
  tjhandle jpeg = tjInitCompress();
  if (jpeg == nullptr) return absl::InternalError("libjpeg-turbo: no compressor");
  unsigned char* data = nullptr;
  unsigned long size = 0;  // NOLINT: the library's type
  absl::StatusOr<std::string> encoded;
  if (tjCompress2(jpeg, image.pixels.data(), image.width, 0, image.height, TJPF_RGB, &data, &size,
                  TJSAMP_420, quality, 0) == 0) {
    encoded = std::string(reinterpret_cast<const char*>(data), size);
  } else {
    encoded = absl::InternalError(absl::StrCat("libjpeg-turbo: ", tjGetErrorStr2(jpeg)));
  }
  tjFree(data);
  tjDestroy(jpeg);
  return encoded;
}

}  // namespace mead::dataset
