#include "worker/data/centre_crop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "common/base/rng.h"
#include "common/dataset/image.h"

namespace mead::data {
namespace {

using dataset::Image;

size_t Bytes(int size) { return size_t{3} * static_cast<size_t>(size) * static_cast<size_t>(size); }

std::vector<uint8_t> Evaluate(const Image& image, int size) {
  std::vector<uint8_t> out(Bytes(size));
  ResizeCentreCropInto(image.pixels.data(), {image.width, image.height}, size, out.data());
  return out;
}

double At(const Image& image, int x, int y, int c) {
  return image.pixels[static_cast<size_t>(3 * (y * image.width + x) + c)];
}

// One resampled coordinate as weights of input pixels: what share of the output pixel's extent each
// covers (area) or its two neighbours by distance (bilinear).
std::vector<std::pair<int, double>> Weights(int out, int out_side, int in_side) {
  const double scale = static_cast<double>(in_side) / out_side;
  std::vector<std::pair<int, double>> weights;
  if (scale > 1) {
    const double from = out * scale;
    const double to = from + scale;
    for (int i = static_cast<int>(from); i < in_side && i < to; ++i) {
      const double share = std::min<double>(to, i + 1) - std::max<double>(from, i);
      if (share > 0) weights.emplace_back(i, share / scale);
    }
  } else {
    const double centre = (out + 0.5) * scale - 0.5;
    const double below = std::floor(centre);
    for (int k = 0; k < 2; ++k) {
      const int i = std::clamp(static_cast<int>(below) + k, 0, in_side - 1);
      weights.emplace_back(i, k == 0 ? 1 - (centre - below) : centre - below);
    }
  }
  return weights;
}

// The evaluation transform in double precision, one pixel at a time.
std::vector<uint8_t> SlowEvaluate(const Image& image, int size) {
  const double scale = static_cast<double>(size) / std::min(image.width, image.height);
  const int width = static_cast<int>(std::lround(image.width * scale));
  const int height = static_cast<int>(std::lround(image.height * scale));
  std::vector<uint8_t> out;
  for (int y = 0; y < size; ++y) {
    for (int x = 0; x < size; ++x) {
      for (int c = 0; c < 3; ++c) {
        double sum = 0;
        for (const auto& [in_y, weight_y] :
             Weights(y + (height - size) / 2, height, image.height)) {
          for (const auto& [in_x, weight_x] : Weights(x + (width - size) / 2, width, image.width)) {
            sum += weight_x * weight_y * At(image, in_x, in_y, c);
          }
        }
        out.push_back(static_cast<uint8_t>(std::lround(sum)));
      }
    }
  }
  return out;
}

Image NoisyImage(int width, int height) {
  Image image{width, height, {}};
  Rng rng(5);
  for (int i = 0; i < 3 * width * height; ++i) {
    image.pixels.push_back(static_cast<uint8_t>(rng.Below(256)));
  }
  return image;
}

int MaxDifference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  int worst = a.size() == b.size() ? 0 : 256;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i)
    worst = std::max(worst, std::abs(a[i] - b[i]));
  return worst;
}

TEST(CentreCropTest, EqualsASlowReference) {
  const std::tuple<int, int, int> cases[] = {{64, 64, 64},   {311, 265, 224}, {265, 311, 224},
                                             {500, 400, 96}, {40, 30, 64},    {100, 37, 37},
                                             {128, 96, 48},  {17, 300, 32}};
  for (const auto& [width, height, size] : cases) {
    const Image image = NoisyImage(width, height);
    EXPECT_LE(MaxDifference(Evaluate(image, size), SlowEvaluate(image, size)), 1)
        << width << "x" << height << " to " << size;
  }
}

}  // namespace
}  // namespace mead::data
