#include "worker/data/augment.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <tuple>

#include "common/base/rng.h"
#include "tests/unit/dataset/pictures.h"

namespace mead::data {
namespace {

using dataset::Image;

size_t Bytes(int size) { return size_t{3} * static_cast<size_t>(size) * static_cast<size_t>(size); }

std::vector<uint8_t> Evaluate(const Image& image, int size) {
  std::vector<uint8_t> out(Bytes(size));
  ResizeCentreCropInto(image, size, out.data());
  return out;
}

std::vector<uint8_t> Augment(const Image& image, const AugmentOptions& options, int size,
                             uint64_t seed, uint64_t epoch, uint64_t sample) {
  std::vector<uint8_t> out(Bytes(size));
  AugmentInto(image, options, size, seed, epoch, sample, out.data());
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

TEST(AugmentTest, EvaluationEqualsASlowReference) {
  const std::tuple<int, int, int> cases[] = {{64, 64, 64},   {311, 265, 224}, {265, 311, 224},
                                             {500, 400, 96}, {40, 30, 64},    {100, 37, 37},
                                             {128, 96, 48},  {17, 300, 32}};
  for (const auto& [width, height, size] : cases) {
    const Image image = NoisyImage(width, height);
    EXPECT_LE(MaxDifference(Evaluate(image, size), SlowEvaluate(image, size)), 1)
        << width << "x" << height << " to " << size;
  }
}

TEST(AugmentTest, WithEverythingOffASquarePictureIsLeftAsItIs) {
  const Image image = NoisyImage(96, 96);
  const AugmentOptions off{.rotate = 0, .flip = Flip::kNone};
  EXPECT_EQ(Augment(image, off, 96, 1, 1, 1), image.pixels);
}

TEST(AugmentTest, EachFlipIsTheMirrorImageOrNot) {
  const int n = 24;
  const Image image = NoisyImage(n, n);
  const auto flipped = [&](bool x_flip, bool y_flip) {
    std::vector<uint8_t> out;
    for (int y = 0; y < n; ++y) {
      for (int x = 0; x < n; ++x) {
        for (int c = 0; c < 3; ++c) {
          out.push_back(
              static_cast<uint8_t>(At(image, x_flip ? n - 1 - x : x, y_flip ? n - 1 - y : y, c)));
        }
      }
    }
    return out;
  };
  for (const Flip flip : {Flip::kNone, Flip::kHorizontal, Flip::kVertical, Flip::kBoth}) {
    const bool may_x = flip == Flip::kHorizontal || flip == Flip::kBoth;
    const bool may_y = flip == Flip::kVertical || flip == Flip::kBoth;
    int seen[2][2] = {};
    for (uint64_t sample = 0; sample < 100; ++sample) {
      const std::vector<uint8_t> out = Augment(image, {.flip = flip}, n, 1, 1, sample);
      for (int x = 0; x < 2; ++x) {
        for (int y = 0; y < 2; ++y) seen[x][y] += out == flipped(x == 1, y == 1) ? 1 : 0;
      }
    }
    EXPECT_EQ(seen[0][0] + seen[0][1] + seen[1][0] + seen[1][1], 100);
    for (int x = 0; x < 2; ++x) {
      for (int y = 0; y < 2; ++y) {
        if ((x == 1 && !may_x) || (y == 1 && !may_y)) {
          EXPECT_EQ(seen[x][y], 0);
        } else {
          EXPECT_GT(seen[x][y], 10);
        }
      }
    }
  }
}

// The angle of a bright dot right of the centre tells the rotation; it is near enough to the centre
// that its mirror image beyond the edge never comes into view.
TEST(AugmentTest, RotationGoesThroughTheWholeRangeAndNoFurther) {
  const int n = 101;
  Image image{n, n, std::vector<uint8_t>(Bytes(n))};
  for (int y = 47; y <= 53; ++y) {
    for (int x = 67; x <= 73; ++x) image.pixels[static_cast<size_t>(3 * (y * n + x))] = 255;
  }
  for (const double rotate : {10.0, 180.0}) {
    double low = 0, high = 0;
    for (uint64_t sample = 0; sample < 300; ++sample) {
      const std::vector<uint8_t> out =
          Augment(image, {.rotate = rotate, .flip = Flip::kNone}, n, 1, 1, sample);
      double sum = 0, sum_x = 0, sum_y = 0;
      for (int y = 0; y < n; ++y) {
        for (int x = 0; x < n; ++x) {
          const double value = out[static_cast<size_t>(3 * (y * n + x))];
          sum += value, sum_x += value * (x - 50), sum_y += value * (y - 50);
        }
      }
      EXPECT_NEAR(std::hypot(sum_x, sum_y) / sum, 20, 0.5);  // it turns about the centre
      const double angle = std::atan2(sum_y, sum_x) * 180 / M_PI;
      low = std::min(low, angle), high = std::max(high, angle);
    }
    EXPECT_GE(low, -rotate - 0.5);
    EXPECT_LE(high, rotate + 0.5);
    EXPECT_LT(low, -0.95 * rotate);
    EXPECT_GT(high, 0.95 * rotate);
  }
}

// On a picture whose colours are its coordinates, the output's corners tell where the crop was.
TEST(AugmentTest, CropsCoverTheAskedShareAndStayInside) {
  const int width = 250, height = 200, size = 50;
  Image image{width, height, {}};
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width; ++x) {
      image.pixels.insert(image.pixels.end(),
                          {static_cast<uint8_t>(x), static_cast<uint8_t>(y), 0});
    }
  }
  double smallest = 1, largest = 0;
  for (uint64_t sample = 0; sample < 300; ++sample) {
    const std::vector<uint8_t> out =
        Augment(image, {.flip = Flip::kNone, .crop_lo = 0.25, .crop_hi = 0.81}, size, 1, 1, sample);
    const double left = out[0], top = out[1];
    const double right = out[Bytes(size) - 3], bottom = out[Bytes(size) - 2];
    const double side = (right - left) * size / (size - 1);
    EXPECT_NEAR(right - left, bottom - top, 2.01);
    EXPECT_GE(left, side / size / 2 - 2);
    EXPECT_LE(right, width - side / size / 2 + 1);
    EXPECT_LE(bottom, height - side / size / 2 + 1);
    const double share = side * side / (height * height);
    smallest = std::min(smallest, share), largest = std::max(largest, share);
  }
  EXPECT_NEAR(smallest, 0.25, 0.02);
  EXPECT_NEAR(largest, 0.81, 0.03);
}

TEST(AugmentTest, LightingScalesBrightnessAndTurnsContrastAboutGrey) {
  Image image{32, 32, std::vector<uint8_t>(Bytes(32), 128)};
  double low = 255, high = 0;
  for (uint64_t sample = 0; sample < 200; ++sample) {
    const uint8_t value = Augment(image, {.lighting = 0.25}, 32, 1, 1, sample)[0];
    low = std::min<double>(low, value), high = std::max<double>(high, value);
  }
  EXPECT_NEAR(low, 96, 3);
  EXPECT_NEAR(high, 160, 3);
}

TEST(AugmentTest, DependsOnSeedEpochAndSampleOnly) {
  const Image image = NoisyImage(60, 50);
  const AugmentOptions options{.rotate = 180, .flip = Flip::kBoth, .crop_lo = 0.5, .lighting = 0.3};
  const std::vector<uint8_t> first = Augment(image, options, 32, 1, 2, 3);
  EXPECT_EQ(first, Augment(image, options, 32, 1, 2, 3));
  EXPECT_NE(first, Augment(image, options, 32, 2, 2, 3));
  EXPECT_NE(first, Augment(image, options, 32, 1, 3, 3));
  EXPECT_NE(first, Augment(image, options, 32, 1, 2, 4));
}

}  // namespace
}  // namespace mead::data
