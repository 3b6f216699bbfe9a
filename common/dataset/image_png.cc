#include <png.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/dataset/exif.h"
#include "common/dataset/image_codecs.h"

namespace mead::dataset {
namespace {

absl::Status Corrupt(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("corrupt PNG: ", why));
}

// libpng leaves a failed call by longjmp: nothing with a destructor may lie between it and here.
struct Reading {
  std::span<const uint8_t> left;
  char error[160] = "";
  png_structp png = nullptr;
  png_infop info = nullptr;

  ~Reading() { png_destroy_read_struct(&png, &info, nullptr); }
};

void ReadBytes(png_structp png, png_bytep out, size_t size) {
  auto* reading = static_cast<Reading*>(png_get_io_ptr(png));
  if (reading->left.size() < size) png_error(png, "the file is cut off");
  std::memcpy(out, reading->left.data(), size);
  reading->left = reading->left.subspan(size);
}

void OnError(png_structp png, png_const_charp message) {
  auto* reading = static_cast<Reading*>(png_get_error_ptr(png));
  std::strncpy(reading->error, message, sizeof(reading->error) - 1);
  std::longjmp(png_jmpbuf(png), 1);
}

void OnWarning(png_structp, png_const_charp) {}

// To 8 bits, RGB or RGBA, with the levels that the file has: gamma is not looked at. Returns the
// channels; 0: failed.
int Start(Reading& reading) {
  if (setjmp(png_jmpbuf(reading.png)) != 0) return 0;
  png_set_read_fn(reading.png, &reading, &ReadBytes);
  png_set_user_limits(reading.png, kMaxImageSide, kMaxImageSide);
  png_read_info(reading.png, reading.info);
  png_set_expand(reading.png);
  png_set_scale_16(reading.png);
  png_set_gray_to_rgb(reading.png);
  png_set_interlace_handling(reading.png);
  png_read_update_info(reading.png, reading.info);
  return png_get_channels(reading.png, reading.info);
}

bool ReadRows(Reading& reading, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reading.png)) != 0) return false;
  png_read_image(reading.png, rows);
  png_read_end(reading.png, nullptr);
  return true;
}

// libpng takes memory for as long a chunk as the file claims.
bool ChunksFit(std::span<const uint8_t> file) {
  for (size_t place = 8; file.size() - place >= 12;) {
    const size_t length = png_get_uint_32(&file[place]);
    if (length > file.size() - place - 12) return false;
    if (std::memcmp(&file[place + 4], "IEND", 4) == 0) return true;
    place += 12 + length;
  }
  return false;
}

}  // namespace

bool IsPng(std::span<const uint8_t> file) {
  return file.size() >= 8 && png_sig_cmp(file.data(), 0, 8) == 0;
}

absl::StatusOr<ImageInfo> PngHeader(std::span<const uint8_t> file) {
  if (file.size() < 33 || std::memcmp(file.data() + 12, "IHDR", 4) != 0) {
    return Corrupt("no header");
  }
  ImageInfo info;
  info.format = ImageFormat::kPng;
  info.width = static_cast<int>(std::min<png_uint_32>(png_get_uint_32(&file[16]), 1 << 30));
  info.height = static_cast<int>(std::min<png_uint_32>(png_get_uint_32(&file[20]), 1 << 30));
  info.orientation = PngOrientation(file);
  return info;
}

absl::StatusOr<Image> PngDecode(std::span<const uint8_t> file, const ImageInfo& stored) {
  if (!ChunksFit(file)) return Corrupt("a piece of it is longer than the file");
  Reading reading{.left = file};
  reading.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &reading, &OnError, &OnWarning);
  if (reading.png != nullptr) reading.info = png_create_info_struct(reading.png);
  if (reading.info == nullptr) return absl::ResourceExhaustedError("libpng: no memory");
  const int channels = Start(reading);
  if (channels == 0) return Corrupt(reading.error);
  const size_t row_bytes = png_get_rowbytes(reading.png, reading.info);
  Image image{stored.width, stored.height, {}};
  if ((channels != 3 && channels != 4) ||
      row_bytes * static_cast<size_t>(stored.height) != NumBytes(stored, channels)) {
    return Corrupt("its header and its rows differ");
  }
  image.pixels.resize(NumBytes(stored, channels));
  std::vector<png_bytep> rows;
  for (int y = 0; y < stored.height; ++y) {
    rows.push_back(image.pixels.data() + static_cast<size_t>(y) * row_bytes);
  }
  if (!ReadRows(reading, rows.data())) return Corrupt(reading.error);
  if (channels == 4) DropAlpha(image.pixels);
  return image;
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
