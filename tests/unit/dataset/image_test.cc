#include "common/dataset/image.h"

#include <gmock/gmock.h>

#include <cmath>

#include "tests/unit/dataset/pictures.h"

namespace mead::dataset {
namespace {

using ::testing::HasSubstr;

std::span<const uint8_t> Bytes(const std::string& s) {
  return {reinterpret_cast<const uint8_t*>(s.data()), s.size()};
}

std::string Reason(const std::string& file) {
  ImageDecoder decoder;
  return std::string(decoder.Decode(Bytes(file)).status().message());
}

TEST(ImageTest, PngComesBackExactly) {
  const absl::StatusOr<Image> image = ImageDecoder().Decode(Bytes(Png(31, 17, 3)));
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->width, 31);
  EXPECT_EQ(image->height, 17);
  EXPECT_EQ(image->pixels, SmoothImage(31, 17, 3).pixels);
}

TEST(ImageTest, WebpAndTiffComeBackExactly) {
  for (const std::string& file : {Webp(31, 17, 3), Tiff(31, 17, 3)}) {
    const absl::StatusOr<Image> image = ImageDecoder().Decode(Bytes(file));
    ASSERT_TRUE(image.ok()) << image.status();
    EXPECT_EQ(image->pixels, SmoothImage(31, 17, 3).pixels);
  }
}

TEST(ImageTest, AnotherFormatsFileThatIsCutOffIsRefused) {
  const std::string webp = Webp(64, 48, 3);
  const std::string tiff = Tiff(64, 48, 3);
  const std::string png = Png(64, 48, 3);
  for (const double share : {0.05, 0.3, 0.6, 0.97}) {
    const auto part = [&](const std::string& file) {
      return file.substr(0, static_cast<size_t>(share * static_cast<double>(file.size())));
    };
    EXPECT_THAT(Reason(part(webp)), HasSubstr("corrupt WebP")) << share;
    EXPECT_THAT(Reason(part(tiff)), HasSubstr("corrupt TIFF")) << share;
    EXPECT_THAT(Reason(part(png)), HasSubstr("corrupt PNG")) << share;
  }
}

TEST(ImageTest, APngsChunkThatIsLongerThanItsFileTakesNoMemory) {
  std::string png = Png(40, 40, 1);
  png.insert(33, std::string("\x70\0\0\0eXIf", 8) + "MM");
  EXPECT_THAT(Reason(png), HasSubstr("corrupt PNG: a piece of it is longer than the file"));
}

TEST(ImageTest, HeadersThatClaimTooMuchAreRefusedBeforeAnythingIsDecoded) {
  std::string png = Png(40, 40, 1);
  png[17] = 2;  // 131,112 wide
  EXPECT_THAT(Reason(png), HasSubstr("131112x40 pixels: larger than 16384"));
  std::string tiff = Tiff(40, 40, 1);
  tiff[20] = 3;  // 196,648 wide
  EXPECT_THAT(Reason(tiff), HasSubstr("196648x40 pixels: larger than 16384"));
  EXPECT_THAT(Reason(Webp(4, 40, 1)), HasSubstr("4x40 pixels: smaller than 8"));
}

TEST(ImageTest, ATurnedPictureIsUprightAtEveryScale) {
  // What a viewer shows, by the definition of each value: stored (x, y) of the pixel at (x, y).
  const std::string file = Jpeg(96, 64, 3);
  ImageDecoder decoder;
  for (const int min_side : {0, 32, 16}) {
    const Image stored = decoder.Decode(Bytes(file), min_side).value();
    for (int orientation = 1; orientation <= 8; ++orientation) {
      const std::string turned_file = WithOrientation(file, orientation);
      const Image turned = decoder.Decode(Bytes(turned_file), min_side).value();
      const ImageInfo info = decoder.Info(Bytes(turned_file)).value();
      EXPECT_EQ(std::pair(info.width, info.height),
                orientation < 5 ? std::pair(96, 64) : std::pair(64, 96));
      ASSERT_EQ(std::pair(turned.width, turned.height),
                orientation < 5 ? std::pair(stored.width, stored.height)
                                : std::pair(stored.height, stored.width));
      const int right = stored.width - 1;
      const int bottom = stored.height - 1;
      size_t wrong = 0;
      for (int y = 0; y < turned.height; ++y) {
        for (int x = 0; x < turned.width; ++x) {
          const std::pair<int, int> at[] = {
              {x, y}, {right - x, y},  {right - x, bottom - y}, {x, bottom - y},
              {y, x}, {y, bottom - x}, {right - y, bottom - x}, {right - y, x}};
          const auto [from_x, from_y] = at[orientation - 1];
          for (int c = 0; c < 3; ++c) {
            wrong += turned.pixels[static_cast<size_t>(3 * (y * turned.width + x) + c)] !=
                     stored.pixels[static_cast<size_t>(3 * (from_y * stored.width + from_x) + c)];
          }
        }
      }
      EXPECT_EQ(wrong, 0u) << "orientation " << orientation << ", min_side " << min_side;
    }
  }
  EXPECT_EQ(decoder.Info(Bytes(WithOrientation(file, 9)))->orientation, 1);
}

TEST(ImageTest, JpegComesBackNearly) {
  const absl::StatusOr<Image> image = ImageDecoder().Decode(Bytes(Jpeg(64, 48, 3)));
  ASSERT_TRUE(image.ok()) << image.status();
  const Image expected = SmoothImage(64, 48, 3);
  ASSERT_EQ(image->pixels.size(), expected.pixels.size());
  double sum = 0;
  for (size_t i = 0; i < expected.pixels.size(); ++i) {
    sum += std::abs(image->pixels[i] - expected.pixels[i]);
  }
  EXPECT_LT(sum / static_cast<double>(expected.pixels.size()), 4.0);
}

TEST(ImageTest, DecodesNoSmallerThanAskedFor) {
  const std::string file = Jpeg(500, 400, 1);
  ImageDecoder decoder;
  const auto sides = [&](int min_side) {
    const Image image = decoder.Decode(Bytes(file), min_side).value();
    return std::pair(image.width, image.height);
  };
  EXPECT_EQ(sides(0), std::pair(500, 400));
  EXPECT_EQ(sides(201), std::pair(500, 400));
  EXPECT_EQ(sides(200), std::pair(250, 200));
  EXPECT_EQ(sides(99), std::pair(125, 100));
  EXPECT_EQ(sides(1), std::pair(63, 50));
}

TEST(ImageTest, BadFilesAreRefusedInWords) {
  const std::string good = Jpeg(120, 90, 1);
  EXPECT_EQ(Reason(""), "empty file");
  EXPECT_EQ(Reason("# notes"), "not a JPEG, PNG, WebP or TIFF picture");
  EXPECT_THAT(Reason(good.substr(0, good.size() / 2)), HasSubstr("corrupt JPEG: Premature end"));
  EXPECT_THAT(Reason(good.substr(0, 3)), HasSubstr("corrupt JPEG"));
  EXPECT_THAT(Reason(Jpeg(1, 1, 1)), HasSubstr("1x1 pixels: smaller than 8 a side"));
  EXPECT_EQ(Reason(Tiff(40, 40, 1).substr(0, 9)),
            "corrupt TIFF: Can not read TIFF directory count");
  EXPECT_THAT(Reason(WithSides(good, 30000, 90)), HasSubstr("30000x90 pixels: larger than 16384"));
  EXPECT_THAT(Reason(WithSides(good, 16000, 16000)), HasSubstr("more than 64 megapixels"));
  const std::string png = Png(40, 40, 1);
  EXPECT_THAT(Reason(png.substr(0, png.size() / 2)), HasSubstr("corrupt PNG"));
  std::string damaged = png;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 0x5A);
  EXPECT_THAT(Reason(damaged), HasSubstr("corrupt PNG"));
}

TEST(ImageTest, BytesBetweenMarkersAreHarmless) {
  std::string file = Jpeg(64, 64, 1);
  file.insert(2, std::string("\0\0\0", 3));
  ImageDecoder decoder;
  EXPECT_TRUE(decoder.Decode(Bytes(file)).ok()) << decoder.Decode(Bytes(file)).status();
}

TEST(ImageTest, PngGivesBackEveryPixel) {
  const Image image = SmoothImage(57, 31, 4);
  const std::string png = EncodePng(image).value();
  ImageDecoder decoder;
  const Image back = decoder.Decode(Bytes(png)).value();
  EXPECT_EQ(back.width, 57);
  EXPECT_EQ(back.height, 31);
  EXPECT_EQ(back.pixels, image.pixels);
}

TEST(ImageTest, ADecoderThatMetACorruptFileStillWorks) {
  ImageDecoder decoder;
  const std::string good = Jpeg(64, 64, 1);
  const Image before = decoder.Decode(Bytes(good)).value();
  EXPECT_FALSE(decoder.Decode(Bytes(good.substr(0, 400))).ok());
  EXPECT_FALSE(decoder.Decode(Bytes("nothing")).ok());
  EXPECT_EQ(decoder.Decode(Bytes(good)).value().pixels, before.pixels);
}

}  // namespace
}  // namespace mead::dataset
