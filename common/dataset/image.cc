#include "common/dataset/image.h"

#include <png.h>
#include <turbojpeg.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace mead::dataset {
namespace {

bool IsPng(std::span<const uint8_t> file) {
  return file.size() >= 8 && png_sig_cmp(file.data(), 0, 8) == 0;
}

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

// Owns what libpng's simplified reader allocates.
struct PngReader {
  png_image image{};
  PngReader() { image.version = PNG_IMAGE_VERSION; }
  ~PngReader() { png_image_free(&image); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  absl::Status Begin(std::span<const uint8_t> file) {
    if (png_image_begin_read_from_memory(&image, file.data(), file.size()) == 0) {
      return Bad(absl::StrCat("corrupt PNG: ", image.message));
    }
    return absl::OkStatus();
  }
};

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
};

ImageDecoder::ImageDecoder() : handle_(std::make_unique<Handle>()) {}
ImageDecoder::~ImageDecoder() = default;
ImageDecoder::ImageDecoder(ImageDecoder&&) noexcept = default;
ImageDecoder& ImageDecoder::operator=(ImageDecoder&&) noexcept = default;

absl::StatusOr<ImageInfo> ImageDecoder::Info(std::span<const uint8_t> file) {
  ImageInfo info;
  if (file.empty()) return Bad("empty file");
  if (IsPng(file)) {
    PngReader reader;
    if (absl::Status status = reader.Begin(file); !status.ok()) return status;
    info.format = ImageFormat::kPng;
    info.width = static_cast<int>(std::min<png_uint_32>(reader.image.width, 1 << 30));
    info.height = static_cast<int>(std::min<png_uint_32>(reader.image.height, 1 << 30));
  } else if (IsJpeg(file)) {
    int subsampling = 0;
    int colour_space = 0;
    if (tjDecompressHeader3(handle_->jpeg, file.data(), file.size(), &info.width, &info.height,
                            &subsampling, &colour_space) != 0 &&
        tjGetErrorCode(handle_->jpeg) == TJERR_FATAL) {
      const std::string reason = tjGetErrorStr2(handle_->jpeg);
      handle_->Renew();
      return Bad(absl::StrCat("corrupt JPEG: ", reason));
    }
    if (info.width == 0 || info.height == 0) {
      handle_->Renew();
      return Bad("corrupt JPEG: no picture in it");
    }
    if (colour_space == TJCS_CMYK || colour_space == TJCS_YCCK) {
      return Bad("CMYK JPEG: convert it to RGB");
    }
  } else {
    return Bad("not a JPEG or PNG picture");
  }
  if (absl::Status status = CheckSides(info.width, info.height); !status.ok()) return status;
  return info;
}

absl::StatusOr<Image> ImageDecoder::Decode(std::span<const uint8_t> file, int min_side) {
  absl::StatusOr<ImageInfo> info = Info(file);
  if (!info.ok()) return info.status();
  Image image;
  if (info->format == ImageFormat::kPng) {
    PngReader reader;
    if (absl::Status status = reader.Begin(file); !status.ok()) return status;
    reader.image.format = PNG_FORMAT_RGB;
    image.width = info->width;
    image.height = info->height;
    image.pixels.resize(PNG_IMAGE_SIZE(reader.image));
    const png_color black = {0, 0, 0};  // behind transparent pixels
    if (png_image_finish_read(&reader.image, &black, image.pixels.data(), 0, nullptr) == 0) {
      return Bad(absl::StrCat("corrupt PNG: ", reader.image.message));
    }
    return image;
  }
  // The scales whose inverse transforms libjpeg-turbo has in SIMD; the ones between are slower
  // than decoding more pixels.
  tjscalingfactor scale = {1, 1};
  if (min_side > 0) {
    for (int denominator : {8, 4, 2}) {
      const tjscalingfactor smaller = {1, denominator};
      if (std::min(TJSCALED(info->width, smaller), TJSCALED(info->height, smaller)) >= min_side) {
        scale = smaller;
        break;
      }
    }
  }
  image.width = TJSCALED(info->width, scale);
  image.height = TJSCALED(info->height, scale);
  image.pixels.resize(size_t{3} * static_cast<size_t>(image.width) *
                      static_cast<size_t>(image.height));
  if (tjDecompress2(handle_->jpeg, file.data(), file.size(), image.pixels.data(), image.width, 0,
                    image.height, TJPF_RGB, 0) != 0) {
    const std::string message = tjGetErrorStr2(handle_->jpeg);
    const bool fatal = tjGetErrorCode(handle_->jpeg) == TJERR_FATAL;
    handle_->Renew();
    if (fatal || !IsHarmlessWarning(message)) return Bad(absl::StrCat("corrupt JPEG: ", message));
  }
  return image;
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

absl::StatusOr<std::string> EncodePng(const Image& image) {
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.format = PNG_FORMAT_RGB;
  png.width = static_cast<png_uint_32>(image.width);
  png.height = static_cast<png_uint_32>(image.height);
  std::string encoded(PNG_IMAGE_PNG_SIZE_MAX(png), '\0');
  png_alloc_size_t size = encoded.size();
  if (png_image_write_to_memory(&png, encoded.data(), &size, 0, image.pixels.data(), 0, nullptr) ==
      0) {
    return absl::InternalError(absl::StrCat("libpng: ", png.message));
  }
  encoded.resize(size);
  return encoded;
}

}  // namespace mead::dataset
