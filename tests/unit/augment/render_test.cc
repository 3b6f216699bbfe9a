#include "common/augment/render.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "common/augment/render_isa.h"
#include "common/base/rng.h"
#include "tests/unit/augment/reference.h"

namespace mead {
namespace {

struct Picture {
  PictureSize size;
  std::vector<uint8_t> pixels;  // [height, width, 3]
};

Picture Noise(int width, int height) {
  Picture picture{{width, height}, {}};
  Rng rng(5);
  for (int i = 0; i < 3 * width * height; ++i) {
    picture.pixels.push_back(static_cast<uint8_t>(rng.Below(256)));
  }
  return picture;
}

size_t Bytes(int size) { return size_t{3} * static_cast<size_t>(size) * static_cast<size_t>(size); }

std::vector<uint8_t> Augment(const Picture& picture, const AugmentOptions& options, int size,
                             uint64_t seed, uint64_t epoch, uint64_t sample) {
  std::vector<uint8_t> out(Bytes(size));
  RenderAugmented(picture.pixels.data(), picture.size,
                  DrawAugmentation({seed, epoch, sample}, options, picture.size, size), size,
                  out.data());
  return out;
}

double At(const Picture& picture, int x, int y, int c) {
  return picture.pixels[static_cast<size_t>(3 * (y * picture.size.width + x) + c)];
}

std::vector<const RenderKernel*> KernelsHere() {
  std::vector<const RenderKernel*> kernels = {&kRenderPortable};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) kernels.push_back(&kRenderAvx2);
#endif
  return kernels;
}

int MaxDifference(const std::vector<uint8_t>& a, const std::vector<uint8_t>& b) {
  int worst = a.size() == b.size() ? 0 : 256;
  for (size_t i = 0; i < a.size() && i < b.size(); ++i) {
    worst = std::max(worst, std::abs(a[i] - b[i]));
  }
  return worst;
}

const AugmentOptions kSettings[] = {
    {.rotate = 0, .flip = Flip::kNone},
    {.rotate = 0, .flip = Flip::kBoth, .crop_lo = 0.5, .crop_hi = 0.9},
    {.rotate = 180, .flip = Flip::kBoth, .crop_lo = 0.7, .crop_hi = 1, .lighting = 0.2},
    {.rotate = 45, .flip = Flip::kHorizontal, .crop_lo = 0.05, .crop_hi = 0.1, .lighting = 1},
    // Each alone, and all together.
    {.rotate = 180, .flip = Flip::kNone},
    {.flip = Flip::kHorizontal},
    {.flip = Flip::kVertical},
    {.flip = Flip::kNone, .crop_lo = 0.3, .crop_hi = 1},
    {.flip = Flip::kNone, .lighting = 0.4},
    {.flip = Flip::kNone, .erasing = 1},
    {.rotate = 180,
     .flip = Flip::kBoth,
     .crop_lo = 0.3,
     .crop_hi = 1,
     .lighting = 0.3,
     .erasing = 0.7},
};
// Larger and smaller than the output, odd, narrow, and so small that mirrors face each other.
const PictureSize kSizes[] = {{64, 64}, {97, 61}, {33, 150}, {300, 21}, {18, 18},
                              {7, 5},   {2, 9},   {3, 1},    {1, 1}};
// Divisible by a run's 16 pixels and not, and shorter than one.
const int kSides[] = {64, 48, 33, 15, 1};

TEST(RenderTest, EqualsASlowReferenceInDoublePrecision) {
  for (const AugmentOptions& options : kSettings) {
    for (const PictureSize size : kSizes) {
      const Picture picture = Noise(size.width, size.height);
      for (const int side : kSides) {
        for (uint64_t sample = 0; sample < 8; ++sample) {
          const std::vector<uint8_t> expected = ReferencePixels(
              picture.pixels, size, ReferenceDraw({3, 1, sample}, options, size, side), side);
          ASSERT_LE(MaxDifference(Augment(picture, options, side, 3, 1, sample), expected), 1)
              << size.width << "x" << size.height << " to " << side << ", rotation "
              << options.rotate << ", sample " << sample;
        }
      }
    }
  }
}

TEST(RenderTest, EveryInstructionSetGivesTheSameBytesAndNoByteMore) {
  for (const AugmentOptions& options : kSettings) {
    for (const PictureSize size : kSizes) {
      const Picture picture = Noise(size.width, size.height);
      for (const int side : kSides) {
        for (uint64_t sample = 0; sample < 4; ++sample) {
          const AugmentPlan plan = DrawAugmentation({1, 2, sample}, options, size, side);
          std::vector<uint8_t> expected(Bytes(side) + 64, 77);
          for (int y = 0; y < side; ++y) {
            for (int x = 0; x < side; ++x) {
              const int first = x - x % kRun;
              AugmentedPixel(picture.pixels.data(), size.width, size.height,
                             PositionIn(RunOf(plan.xx, plan.xy, plan.x0, first, y), x - first),
                             PositionIn(RunOf(plan.yx, plan.yy, plan.y0, first, y), x - first),
                             plan.gain, plan.offset,
                             &expected[static_cast<size_t>(3 * (y * side + x))]);
            }
          }
          for (const RenderKernel* kernel : KernelsHere()) {
            std::vector<uint8_t> out(Bytes(side) + 64, 77);
            kernel->render(picture.pixels.data(), size.width, size.height, plan, side, out.data());
            ASSERT_EQ(out, expected) << kernel->isa << ": " << size.width << "x" << size.height
                                     << " to " << side << ", sample " << sample;
          }
        }
      }
    }
  }
}

TEST(RenderTest, TheLargestPictureThatIsAcceptedStaysWithinTheNumbers) {
  // 16384 is the longest side, 64 million pixels the largest area.
  for (const PictureSize size : {PictureSize{16384, 3900}, PictureSize{3900, 16384}}) {
    const Picture picture{size, std::vector<uint8_t>(3 * size_t{16384} * 3900, 200)};
    const AugmentOptions options{.rotate = 180, .flip = Flip::kBoth};
    for (const int side : {17, 64}) {
      for (uint64_t sample = 0; sample < 8; ++sample) {
        EXPECT_EQ(Augment(picture, options, side, 1, 1, sample),
                  std::vector<uint8_t>(Bytes(side), 200));
      }
    }
  }
}

TEST(RenderTest, WithEverythingOffASquarePictureIsLeftAsItIs) {
  const Picture image = Noise(96, 96);
  const AugmentOptions off{.rotate = 0, .flip = Flip::kNone};
  EXPECT_EQ(Augment(image, off, 96, 1, 1, 1), image.pixels);
}

TEST(RenderTest, EachFlipIsTheMirrorImageOrNot) {
  const int n = 24;
  const Picture image = Noise(n, n);
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
TEST(RenderTest, RotationGoesThroughTheWholeRangeAndNoFurther) {
  const int n = 101;
  Picture image{{n, n}, std::vector<uint8_t>(Bytes(n))};
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
TEST(RenderTest, CropsCoverTheAskedShareAndStayInside) {
  const int width = 250, height = 200, size = 50;
  Picture image{{width, height}, {}};
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

TEST(RenderTest, LightingScalesBrightnessAndTurnsContrastAboutGrey) {
  Picture image{{32, 32}, std::vector<uint8_t>(Bytes(32), 128)};
  double low = 255, high = 0;
  for (uint64_t sample = 0; sample < 200; ++sample) {
    const uint8_t value = Augment(image, {.lighting = 0.25}, 32, 1, 1, sample)[0];
    low = std::min<double>(low, value), high = std::max<double>(high, value);
  }
  EXPECT_NEAR(low, 96, 3);
  EXPECT_NEAR(high, 160, 3);
}

TEST(RenderTest, DependsOnSeedEpochAndSampleOnly) {
  const Picture image = Noise(60, 50);
  const AugmentOptions options{.rotate = 180, .flip = Flip::kBoth, .crop_lo = 0.5, .lighting = 0.3};
  const std::vector<uint8_t> first = Augment(image, options, 32, 1, 2, 3);
  EXPECT_EQ(first, Augment(image, options, 32, 1, 2, 3));
  EXPECT_NE(first, Augment(image, options, 32, 2, 2, 3));
  EXPECT_NE(first, Augment(image, options, 32, 1, 3, 3));
  EXPECT_NE(first, Augment(image, options, 32, 1, 2, 4));
}

}  // namespace
}  // namespace mead
