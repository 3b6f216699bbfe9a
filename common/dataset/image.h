// Pictures in memory: what they are, and their pixels. JPEG by libjpeg-turbo (grey, CMYK and YCCK
// as well), PNG by libpng, WebP by libwebp, TIFF by libtiff.
//
// Upright, as EXIF says which way up they were taken; on black where they are transparent; CMYK as
// Adobe writes it. Levels are the file's: neither gamma nor colour profiles are applied.
//
// Thread: an ImageDecoder belongs to one thread; the free functions may be called from any.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mead::dataset {

enum class ImageFormat : uint8_t { kJpeg, kPng, kWebp, kTiff };

// "JPEG, PNG, WebP or TIFF", for messages.
inline constexpr char kImageFormats[] = "JPEG, PNG, WebP or TIFF";

// Beyond these a picture is refused before anything is allocated for it.
inline constexpr int kMinImageSide = 8;
inline constexpr int kMaxImageSide = 16384;
inline constexpr int64_t kMaxImagePixels = 64'000'000;
inline constexpr uint64_t kMaxImageFileBytes = 256u << 20;

struct ImageInfo {
  ImageFormat format = ImageFormat::kJpeg;
  int width = 0;  // pixels, upright
  int height = 0;
  int orientation = 1;  // exif.h: how the file has it
};

struct Image {
  int width = 0;
  int height = 0;
  std::vector<uint8_t> pixels;  // [height, width, 3] RGB
};

class ImageDecoder {
 public:
  ImageDecoder();
  ~ImageDecoder();
  ImageDecoder(ImageDecoder&&) noexcept;
  ImageDecoder& operator=(ImageDecoder&&) noexcept;

  // Reads the header only, and checks the limits above.
  // Errors: INVALID_ARGUMENT saying what is wrong, in words fit for a quarantine list.
  [[nodiscard]] absl::StatusOr<ImageInfo> Info(std::span<const uint8_t> file);

  // Decodes the whole picture. A JPEG may come out smaller, by 1/2, 1/4 or 1/8, as long as its
  // shorter side stays at least min_side; 0 asks for the full size. The scale depends on the
  // picture and min_side alone.
  // Errors: INVALID_ARGUMENT as Info, and for truncated or corrupt data.
  [[nodiscard]] absl::StatusOr<Image> Decode(std::span<const uint8_t> file, int min_side = 0);

 private:
  struct Handle;
  std::unique_ptr<Handle> handle_;
};

// Changes whenever the same file may come out as other pixels: what is kept decoded is of one
// version.
std::string DecoderVersion();

// [height, width, 3] RGB to JPEG bytes. quality: 1 to 100.
[[nodiscard]] absl::StatusOr<std::string> EncodeJpeg(const Image& image, int quality);

// [height, width, 3] RGB to PNG bytes.
[[nodiscard]] absl::StatusOr<std::string> EncodePng(const Image& image);

}  // namespace mead::dataset
