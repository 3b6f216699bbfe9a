#include "common/dataset/exif.h"

#include <cstring>
#include <string_view>
#include <utility>

namespace mead::dataset {
namespace {

constexpr int kUpright = 1;
constexpr uint32_t kOrientationTag = 0x0112;

// Numbers at places in a file; beyond its end they are 0.
class Numbers {
 public:
  Numbers(std::span<const uint8_t> bytes, bool big_endian) : bytes_(bytes), big_(big_endian) {}

  uint32_t At(size_t place, size_t size) const {
    if (place > bytes_.size() || bytes_.size() - place < size) return 0;
    uint32_t value = 0;
    for (size_t i = 0; i < size; ++i) {
      value = value << 8 | bytes_[place + (big_ ? i : size - 1 - i)];
    }
    return value;
  }

 private:
  std::span<const uint8_t> bytes_;
  bool big_;
};

bool Has(std::span<const uint8_t> file, size_t place, std::string_view word) {
  return place <= file.size() && file.size() - place >= word.size() &&
         std::memcmp(file.data() + place, word.data(), word.size()) == 0;
}

// exif: begins with the byte order.
int OrientationIn(std::span<const uint8_t> exif) {
  const bool big = Has(exif, 0, "MM");
  if (!big && !Has(exif, 0, "II")) return kUpright;
  const Numbers numbers(exif, big);
  const size_t directory = numbers.At(4, 4);
  const uint32_t entries = numbers.At(directory, 2);
  for (uint32_t i = 0; i < entries; ++i) {
    const size_t entry = directory + 2 + size_t{12} * i;
    if (numbers.At(entry, 2) != kOrientationTag) continue;
    const bool is_long = numbers.At(entry + 2, 2) == 4;
    const uint32_t value = numbers.At(entry + 8, is_long ? 4 : 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : kUpright;
  }
  return kUpright;
}

}  // namespace

int JpegOrientation(std::span<const uint8_t> file) {
  constexpr std::string_view kExif("Exif\0\0", 6);
  const Numbers numbers(file, /*big_endian=*/true);
  for (size_t place = 2; place + 4 <= file.size();) {
    if (file[place] != 0xFF) {
      ++place;  // bytes between markers
      continue;
    }
    const uint8_t marker = file[place + 1];
    if (marker == 0xDA || marker == 0xD9) break;  // the picture itself, or its end
    if (marker == 0xFF || marker == 0 || marker == 1 || (marker >= 0xD0 && marker <= 0xD8)) {
      place += marker == 0xFF ? 1 : 2;  // filling, or markers without a length
      continue;
    }
    const size_t length = numbers.At(place + 2, 2);
    if (length < 2 || file.size() - place - 2 < length) break;
    if (marker == 0xE1 && Has(file, place + 4, kExif) && length >= 2 + kExif.size()) {
      return OrientationIn(file.subspan(place + 4 + kExif.size(), length - 2 - kExif.size()));
    }
    place += 2 + length;
  }
  return kUpright;
}

int PngOrientation(std::span<const uint8_t> file) {
  const Numbers numbers(file, /*big_endian=*/true);
  for (size_t place = 8; place + 12 <= file.size();) {
    const size_t length = numbers.At(place, 4);
    if (file.size() - place - 12 < length) break;
    if (Has(file, place + 4, "eXIf")) return OrientationIn(file.subspan(place + 8, length));
    place += 12 + length;
  }
  return kUpright;
}

int WebpOrientation(std::span<const uint8_t> file) {
  const Numbers numbers(file, /*big_endian=*/false);
  for (size_t place = 12; place + 8 <= file.size();) {
    const size_t length = numbers.At(place + 4, 4);
    if (file.size() - place - 8 < length) break;
    if (Has(file, place, "EXIF")) {
      const std::span<const uint8_t> exif = file.subspan(place + 8, length);
      // Some writers put JPEG's prefix there as well.
      return OrientationIn(Has(exif, 0, "Exif") && length >= 6 ? exif.subspan(6) : exif);
    }
    place += 8 + length + length % 2;
  }
  return kUpright;
}

Image Upright(Image image, int orientation) {
  if (orientation <= kUpright || orientation > 8) return image;
  const bool swaps = SwapsSides(orientation);
  // Where the picture's pixel (x, y) lies in the file: sides swapped first, then mirrored.
  const bool mirror_x =
      orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const bool mirror_y =
      orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  Image upright{swaps ? image.height : image.width, swaps ? image.width : image.height, {}};
  upright.pixels.resize(image.pixels.size());
  uint8_t* out = upright.pixels.data();
  for (int y = 0; y < upright.height; ++y) {
    for (int x = 0; x < upright.width; ++x, out += 3) {
      const int stored_x = swaps ? y : x;
      const int stored_y = swaps ? x : y;
      const int from_x = mirror_x ? image.width - 1 - stored_x : stored_x;
      const int from_y = mirror_y ? image.height - 1 - stored_y : stored_y;
      const auto from = static_cast<size_t>(from_y) * static_cast<size_t>(image.width) +
                        static_cast<size_t>(from_x);
      std::memcpy(out, image.pixels.data() + 3 * from, 3);
    }
  }
  return upright;
}

}  // namespace mead::dataset
