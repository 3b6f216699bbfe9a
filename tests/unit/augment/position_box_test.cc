#include "common/augment/position_box.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string>

#include "common/augment/augment_words.h"
#include "common/dataset/image.h"
#include "common/dataset/synth.h"
#include "common/files.h"
#include "tests/support/temp_dir.h"

namespace mead {
namespace {

namespace fs = std::filesystem;
using dataset::Image;

const uint8_t* At(const Image& image, int x, int y) {
  return &image.pixels[static_cast<size_t>(3 * (y * image.width + x))];
}

PixelBox Find(const Image& image) {
  return FindPositionBox(image.pixels.data(), {image.width, image.height});
}

Image Treated(PositionBox treatment, Image image) {
  const PictureSize size = TreatPositionBox(treatment, {image.width, image.height}, image.pixels);
  image.width = size.width;
  image.height = size.height;
  EXPECT_EQ(image.pixels.size(), static_cast<size_t>(3 * image.width * image.height));
  return image;
}

Image Synth(int class_id, uint64_t index, int side) {
  return {side, side, dataset::DrawEndoscopy(class_id, index, side, /*seed=*/4)};
}

// Where synth.h draws the box, and whether it did: by the colour of the box's ground, between
// its frame and what is drawn in it.
PixelBox SynthBox(const Image& image) {
  const int side = image.width;
  const auto place = [&](double at) { return static_cast<int>(std::lround((at + 1) / 2 * side)); };
  double red = 0, green = 0, blue = 0;
  int count = 0;
  for (int y = place(0.58); y < place(0.91); ++y, ++count) {
    const uint8_t* pixel = At(image, place(-0.93), y);
    red += pixel[0], green += pixel[1], blue += pixel[2];
  }
  const bool ground = std::abs(red / count - 18) < 9 && std::abs(green / count - 60) < 9 &&
                      std::abs(blue / count - 38) < 9;
  if (!ground) return {};
  const int left = place(-0.97), top = place(0.52);
  return {.left = left, .top = top, .width = place(-0.46) - left, .height = place(0.97) - top};
}

bool Covers(const PixelBox& outer, const PixelBox& inner) {
  return outer.left <= inner.left && outer.top <= inner.top &&
         outer.left + outer.width >= inner.left + inner.width &&
         outer.top + outer.height >= inner.top + inner.height;
}

TEST(PositionBoxTest, IsFoundInDrawnPicturesThatHaveOneAndInNoOther) {
  int with = 0, without = 0;
  for (const int side : {64, 128, 224}) {
    for (int class_id = 0; class_id < 8; ++class_id) {
      for (uint64_t index = 0; index < 12; ++index) {
        const Image image = Synth(class_id, index, side);
        const PixelBox drawn = SynthBox(image);
        const PixelBox found = Find(image);
        const std::string what = "class " + std::to_string(class_id) + ", picture " +
                                 std::to_string(index) + ", side " + std::to_string(side);
        if (drawn.width == 0) {
          ++without;
          EXPECT_EQ(found, PixelBox{}) << what;
        } else {
          ++with;
          EXPECT_TRUE(Covers(found, drawn)) << what;
          EXPECT_LE(found.width, drawn.width + 4 + side / 32) << what;
          EXPECT_LE(found.height, drawn.height + 4 + side / 32) << what;
        }
      }
    }
  }
  EXPECT_GT(with, 50);
  EXPECT_GT(without, 150);
}

// The first drawn picture with a box.
Image WithBox(int side) {
  uint64_t index = 0;
  while (SynthBox(Synth(6, index, side)).width == 0) ++index;
  return Synth(6, index, side);
}

TEST(PositionBoxTest, MaskPaintsTheBoxBlackAndNothingElse) {
  const Image image = WithBox(160);
  const PixelBox box = Find(image);
  const Image masked = Treated(PositionBox::kMask, image);
  for (int y = 0; y < 160; ++y) {
    for (int x = 0; x < 160; ++x) {
      for (int c = 0; c < 3; ++c) {
        ASSERT_EQ(At(masked, x, y)[c], Holds(box, x, y) ? 0 : At(image, x, y)[c]) << x << " " << y;
      }
    }
  }
  EXPECT_EQ(Find(masked), PixelBox{});
  EXPECT_EQ(Treated(PositionBox::kKeep, image).pixels, image.pixels);
}

TEST(PositionBoxTest, CropKeepsTheLargerPartWithoutTheBox) {
  const Image image = WithBox(160);
  const PixelBox box = Find(image);
  // Of a square picture: what is above.
  const Image above = Treated(PositionBox::kCrop, image);
  EXPECT_EQ(above.width, 160);
  EXPECT_EQ(above.height, box.top);
  EXPECT_TRUE(std::equal(above.pixels.begin(), above.pixels.end(), image.pixels.begin()));
  // Of a wide one: what is beside.
  Image wide{240, 160, {}};
  for (int y = 0; y < 160; ++y) {
    for (int x = 0; x < 240; ++x) {
      const uint8_t* pixel = At(image, std::min(x, 159), y);
      wide.pixels.insert(wide.pixels.end(), pixel, pixel + 3);
    }
  }
  const PixelBox wide_box = Find(wide);
  ASSERT_GT(wide_box.width, 0);
  const Image beside = Treated(PositionBox::kCrop, wide);
  EXPECT_EQ(beside.width, 240 - wide_box.left - wide_box.width);
  EXPECT_EQ(beside.height, 160);
  for (int y = 0; y < 160; ++y) {
    for (int x = 0; x < beside.width; ++x) {
      ASSERT_TRUE(
          std::equal(At(beside, x, y), At(beside, x, y) + 3, At(wide, 240 - beside.width + x, y)));
    }
  }
}

TEST(PositionBoxTest, APictureWithoutOneIsLeftAsItIs) {
  uint64_t index = 0;
  while (SynthBox(Synth(6, index, 128)).width > 0) ++index;
  const Image image = Synth(6, index, 128);
  for (const PositionBox treatment : {PositionBox::kMask, PositionBox::kCrop}) {
    const Image treated = Treated(treatment, image);
    EXPECT_EQ(treated.width, 128);
    EXPECT_EQ(treated.height, 128);
    EXPECT_EQ(treated.pixels, image.pixels);
  }
}

// Everything green, greenish noise, other rectangles and the smallest pictures.
TEST(PositionBoxTest, IsNotFoundWhereGreenIsNoBox) {
  const auto painted = [](int width, int height, PixelBox box, std::vector<uint8_t> colour) {
    Image image{width, height, {}};
    for (int y = 0; y < height; ++y) {
      for (int x = 0; x < width; ++x) {
        const uint8_t tissue[3] = {200, 110, 90};
        const uint8_t* pixel = Holds(box, x, y) ? colour.data() : tissue;
        image.pixels.insert(image.pixels.end(), pixel, pixel + 3);
      }
    }
    return image;
  };
  const std::vector<uint8_t> green = {20, 90, 50};
  const PixelBox corner{.left = 2, .top = 70, .width = 28, .height = 26};
  EXPECT_GT(Find(painted(120, 100, corner, green)).width, 0);
  EXPECT_EQ(Find(painted(120, 100, {0, 0, 120, 100}, green)), PixelBox{});
  EXPECT_EQ(Find(painted(120, 100, {0, 0, 60, 100}, green)), PixelBox{});
  EXPECT_EQ(Find(painted(120, 100, {0, 50, 120, 50}, green)), PixelBox{});
  EXPECT_EQ(Find(painted(120, 100, {90, 70, 28, 26}, green)), PixelBox{});  // lower right
  EXPECT_EQ(Find(painted(120, 100, {2, 2, 28, 26}, green)), PixelBox{});    // upper left
  EXPECT_EQ(Find(painted(120, 100, {20, 55, 28, 26}, green)), PixelBox{});  // not at the edges
  EXPECT_EQ(Find(painted(120, 100, {2, 93, 6, 6}, green)), PixelBox{});     // too small
  EXPECT_EQ(Find(painted(120, 100, corner, {20, 50, 90})), PixelBox{});     // blue
  EXPECT_EQ(Find(painted(120, 100, corner, {120, 125, 118})), PixelBox{});  // grey
  EXPECT_EQ(Find(painted(120, 100, corner, {0, 0, 0})), PixelBox{});
  for (const int side : {1, 2, 15, 16, 17}) {
    EXPECT_EQ(Find(painted(side, side, {}, green)), PixelBox{});
    EXPECT_EQ(Find(painted(side, side, {0, 0, side, side}, green)), PixelBox{});
  }
}

TEST(PositionBoxTest, WordsAreThoseOfTheSweepFile) {
  EXPECT_EQ(PositionBoxFromName("keep"), PositionBox::kKeep);
  EXPECT_EQ(PositionBoxFromName("mask"), PositionBox::kMask);
  EXPECT_EQ(PositionBoxFromName("crop"), PositionBox::kCrop);
  EXPECT_EQ(PositionBoxFromName("cut"), std::nullopt);
  EXPECT_EQ(FlipFromName("both"), Flip::kBoth);
  EXPECT_EQ(FlipFromName("up"), std::nullopt);
}

// --- real frames ----------------------------------------------------------------------

Image DecodedFile(const fs::path& path, int min_side) {
  static dataset::ImageDecoder decoder;
  const std::string file = ReadFile(path).value();
  return decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, min_side)
      .value();
}

// As Kvasir's recorder does: at the left edge, a little above the lower one, with a drawing.
PixelBox DrawBox(Image& image) {
  const PixelBox box{.left = image.width / 50,
                     .top = image.height * 2 / 3,
                     .width = image.width / 4,
                     .height = image.height * 3 / 10};
  for (int y = box.top; y < box.top + box.height; ++y) {
    for (int x = box.left; x < box.left + box.width; ++x) {
      const double u = static_cast<double>(x - box.left) / box.width - 0.5;
      const double v = static_cast<double>(y - box.top) / box.height - 0.5;
      const bool line = std::abs(std::hypot(u, v) - 0.3) < 0.03;
      const uint8_t colour[3] = {static_cast<uint8_t>(line ? 230 : 15),
                                 static_cast<uint8_t>(line ? 235 : 105),
                                 static_cast<uint8_t>(line ? 225 : 55)};
      std::copy_n(colour, 3, &image.pixels[static_cast<size_t>(3 * (y * image.width + x))]);
    }
  }
  return box;
}

TEST(PositionBoxTest, RealFramesHaveOneWhereItWasDrawnAndNoneOtherwise) {
  const fs::path shared = testing::SharedDir();
  if (shared.empty()) GTEST_SKIP() << "NOT RUN: no ../shared (set MEAD_SHARED)";
  dataset::ImageDecoder decoder;
  int frames = 0;
  for (const char* folder : {"kvasir-polyps", "cp-child-b/test", "cp-child-b/train/polyp"}) {
    for (const auto& entry : fs::recursive_directory_iterator(shared / "data" / folder)) {
      if (entry.path().extension() != ".jpg") continue;
      ++frames;
      // The scales that training decodes at.
      Image image = DecodedFile(entry.path(), 224);
      EXPECT_EQ(Find(image), PixelBox{}) << entry.path();
      if (frames % 3 != 0) continue;
      const PixelBox drawn = DrawBox(image);
      const std::string file = dataset::EncodeJpeg(image, 80).value();
      const Image again =
          decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()}, 100).value();
      const int scale = (image.width + again.width / 2) / again.width;  // 2, or 1
      const PixelBox found = Find(again);
      const PixelBox expected{.left = drawn.left / scale + 1,
                              .top = drawn.top / scale + 1,
                              .width = drawn.width / scale - 2,
                              .height = drawn.height / scale - 2};
      EXPECT_TRUE(Covers(found, expected))
          << entry.path() << ": found " << found.width << "x" << found.height << " at "
          << found.left << "," << found.top << ", drawn " << expected.width << "x"
          << expected.height << " at " << expected.left << "," << expected.top;
      EXPECT_LE(found.width, expected.width + 12) << entry.path();
      EXPECT_LE(found.height, expected.height + 12) << entry.path();
    }
  }
  EXPECT_GE(frames, 800);
}

}  // namespace
}  // namespace mead
