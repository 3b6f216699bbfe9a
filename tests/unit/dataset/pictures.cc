#include "tests/unit/dataset/pictures.h"

#include <png.h>
#include <webp/encode.h>

#include <cmath>
#include <cstdlib>
#include <fstream>

#include "common/base/rng.h"
#include "common/dataset/build.h"

namespace mead::dataset {

Image SmoothImage(int width, int height, uint64_t seed) {
  // Waves across the whole picture, and finer ones in which two pictures never look alike.
  struct Wave {
    double phase, x, y;
  };
  Rng rng(seed);
  const auto draw = [&](double low, double high) {
    const double phase = rng.Uniform(0, 6);
    const double x = rng.Uniform(low, high);
    return Wave{phase, x, rng.Uniform(low, high)};
  };
  Wave broad[3], fine[3];
  for (Wave& wave : broad) wave = draw(0.01, 0.09);
  for (Wave& wave : fine) wave = draw(-0.5, 0.5);
  Image image;
  image.width = width;
  image.height = height;
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      for (int c = 0; c < 3; ++c) {
        double value = 128 + 80 * std::sin(broad[c].phase + broad[c].x * x + broad[c].y * y);
        for (const Wave& wave : fine) value += 8 * std::sin(wave.phase + wave.x * x + wave.y * y);
        image.pixels.push_back(static_cast<uint8_t>(std::lround(value)));
      }
    }
  }
  return image;
}

std::string Jpeg(int width, int height, uint64_t seed) {
  return EncodeJpeg(SmoothImage(width, height, seed), 90).value();
}

std::string Png(int width, int height, uint64_t seed) {
  const Image image = SmoothImage(width, height, seed);
  png_image png{};
  png.version = PNG_IMAGE_VERSION;
  png.width = static_cast<png_uint_32>(width);
  png.height = static_cast<png_uint_32>(height);
  png.format = PNG_FORMAT_RGB;
  png_alloc_size_t size = 0;
  std::string file;
  if (!png_image_write_to_memory(&png, nullptr, &size, 0, image.pixels.data(), 0, nullptr)) abort();
  file.resize(size);
  if (!png_image_write_to_memory(&png, file.data(), &size, 0, image.pixels.data(), 0, nullptr)) {
    abort();
  }
  file.resize(size);
  return file;
}

std::string Webp(int width, int height, uint64_t seed) {
  const Image image = SmoothImage(width, height, seed);
  uint8_t* data = nullptr;
  const size_t size = WebPEncodeLosslessRGB(image.pixels.data(), width, height, 3 * width, &data);
  std::string file(reinterpret_cast<const char*>(data), size);
  WebPFree(data);
  return file;
}

std::string Tiff(int width, int height, uint64_t seed) {
  const Image image = SmoothImage(width, height, seed);
  std::string file("II*\0", 4);
  const auto number = [&](size_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) file.push_back(static_cast<char>(value >> (8 * i)));
  };
  const auto entry = [&](size_t tag, size_t type, size_t count, size_t value) {
    number(tag, 2);
    number(type, 2);
    number(count, 4);
    number(value, 4);
  };
  constexpr size_t kShort = 3, kLong = 4, kEntries = 9;
  const size_t bits_at = 8 + 2 + 12 * kEntries + 4;
  number(8, 4);
  number(kEntries, 2);
  entry(256, kLong, 1, static_cast<size_t>(width));
  entry(257, kLong, 1, static_cast<size_t>(height));
  entry(258, kShort, 3, bits_at);
  entry(259, kShort, 1, 1);  // no compression
  entry(262, kShort, 1, 2);  // RGB
  entry(273, kLong, 1, bits_at + 6);
  entry(277, kShort, 1, 3);
  entry(278, kLong, 1, static_cast<size_t>(height));
  entry(279, kLong, 1, image.pixels.size());
  number(0, 4);
  for (int i = 0; i < 3; ++i) number(8, 2);
  file.append(image.pixels.begin(), image.pixels.end());
  return file;
}

std::string WithOrientation(std::string jpeg, int orientation) {
  const std::string exif("Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0", 25);
  const std::string rest("\0\0\0\0\0\0", 6);
  const std::string segment = exif + static_cast<char>(orientation) + rest;
  return jpeg.insert(
      2, std::string("\xFF\xE1\0", 3) + static_cast<char>(segment.size() + 2) + segment);
}

std::string WithSides(std::string jpeg, int width, int height) {
  const size_t frame = jpeg.find("\xFF\xC0");  // SOF0: marker, length, precision, height, width
  jpeg[frame + 5] = static_cast<char>(height >> 8);
  jpeg[frame + 6] = static_cast<char>(height & 255);
  jpeg[frame + 7] = static_cast<char>(width >> 8);
  jpeg[frame + 8] = static_cast<char>(width & 255);
  return jpeg;
}

void Put(const std::filesystem::path& path, const std::string& content) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

void PutJpegs(const std::filesystem::path& folder, int count, uint64_t seed) {
  for (int i = 0; i < count; ++i) {
    Put(folder / (std::to_string(i) + ".jpg"), Jpeg(40, 30, seed + static_cast<uint64_t>(i)));
  }
}

absl::StatusOr<Manifest> BuildFrom(const std::filesystem::path& path, const std::string& out_dir) {
  BuildOptions options;
  options.name = "set";
  options.path = path.string();
  options.out_dir = out_dir;
  return BuildDataset(options);
}

}  // namespace mead::dataset
