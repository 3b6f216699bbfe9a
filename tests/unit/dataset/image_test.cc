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
  EXPECT_EQ(Reason("# notes"), "not a JPEG or PNG picture");
  EXPECT_THAT(Reason(good.substr(0, good.size() / 2)), HasSubstr("corrupt JPEG: Premature end"));
  EXPECT_THAT(Reason(good.substr(0, 3)), HasSubstr("corrupt JPEG"));
  EXPECT_THAT(Reason(Jpeg(1, 1, 1)), HasSubstr("1x1 pixels: smaller than 8 a side"));
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
