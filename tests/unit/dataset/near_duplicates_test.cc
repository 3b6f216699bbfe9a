#include "common/dataset/near_duplicates.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/rng.h"
#include "common/dataset/parallel.h"
#include "common/dataset/same_picture.h"
#include "common/dataset/synth.h"
#include "common/files.h"
#include "common/sha256.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/dataset/pictures.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

std::span<const uint8_t> Bytes(const std::string& file) {
  return {reinterpret_cast<const uint8_t*>(file.data()), file.size()};
}

Look LookOf(const std::string& file) {
  ImageDecoder decoder;
  const Image image = decoder.Decode(Bytes(file), kThumbnailDecodeSide).value();
  return {.thumbnail = MakeThumbnail(image), .digest = DigestOf(file)};
}

Look Flat(uint8_t level, const std::string& digest) {
  Look look{.thumbnail = {}, .digest = digest};
  look.thumbnail.luma.fill(level);
  return look;
}

// --- Copies as people make them ---

// Bilinear, with as many samples per pixel as shrinking needs.
Image Resized(const Image& in, double scale) {
  Image out;
  out.width = static_cast<int>(std::lround(scale * in.width));
  out.height = static_cast<int>(std::lround(scale * in.height));
  constexpr int kSamples = 2;
  const auto at = [&](int y, int x, int c) {
    y = std::clamp(y, 0, in.height - 1);
    x = std::clamp(x, 0, in.width - 1);
    return static_cast<double>(in.pixels[static_cast<size_t>(3 * (y * in.width + x) + c)]);
  };
  for (int y = 0; y < out.height; ++y) {
    for (int x = 0; x < out.width; ++x) {
      for (int c = 0; c < 3; ++c) {
        double sum = 0;
        for (int s = 0; s < kSamples * kSamples; ++s) {
          const double u = (x + (s % kSamples + 0.5) / kSamples) / scale - 0.5;
          const double v = (y + (s / kSamples + 0.5) / kSamples) / scale - 0.5;
          const int left = static_cast<int>(std::floor(u));
          const int top = static_cast<int>(std::floor(v));
          const double right = u - left;
          const double down = v - top;
          sum += (1 - down) * ((1 - right) * at(top, left, c) + right * at(top, left + 1, c)) +
                 down * ((1 - right) * at(top + 1, left, c) + right * at(top + 1, left + 1, c));
        }
        out.pixels.push_back(static_cast<uint8_t>(std::lround(sum / (kSamples * kSamples))));
      }
    }
  }
  return out;
}

// 2 % less on one side or more: bit 0 left, 1 right, 2 top, 3 bottom.
Image Cropped(const Image& in, uint64_t sides) {
  const int x = static_cast<int>(std::lround(0.02 * in.width));
  const int y = static_cast<int>(std::lround(0.02 * in.height));
  const int left = (sides & 1) != 0 ? x : 0;
  const int top = (sides & 4) != 0 ? y : 0;
  Image out;
  out.width = in.width - left - ((sides & 2) != 0 ? x : 0);
  out.height = in.height - top - ((sides & 8) != 0 ? y : 0);
  for (int row = top; row < top + out.height; ++row) {
    const auto begin = in.pixels.begin() + 3 * (row * in.width + left);
    out.pixels.insert(out.pixels.end(), begin, begin + 3 * out.width);
  }
  return out;
}

Image Relit(Image image, double gain, double offset) {
  for (uint8_t& value : image.pixels) {
    value = static_cast<uint8_t>(std::clamp(std::lround(gain * value + offset), 0l, 255l));
  }
  return image;
}

enum class Change { kCompressed, kResized, kCropped, kRelit, kAll };
constexpr Change kChanges[] = {Change::kCompressed, Change::kResized, Change::kCropped,
                               Change::kRelit, Change::kAll};

std::string Changed(Image image, Change change, Rng& rng) {
  const bool all = change == Change::kAll;
  int quality = 90;
  if (all || change == Change::kCropped) image = Cropped(image, 1 + rng.Below(15));
  if (all || change == Change::kResized) image = Resized(image, rng.Uniform(0.5, 1.5));
  if (all || change == Change::kRelit) {
    image = Relit(std::move(image), rng.Uniform(0.85, 1.15), rng.Uniform(-10, 10));
  }
  if (all || change == Change::kCompressed) quality = 30 + static_cast<int>(rng.Below(61));
  return EncodeJpeg(image, quality).value();
}

// How many of the pictures are found again when each has been changed, as a share. No two different
// pictures may meet in a group, but for those that are in one already.
double Found(const std::vector<Image>& pictures, const std::vector<Look>& originals,
             Change change) {
  const size_t n = pictures.size();
  const std::vector<uint32_t> before = GroupNearDuplicates(originals, 2, {});
  std::vector<Look> looks = originals;
  looks.resize(2 * n);
  ParallelFor(n, 2,
              [&]() -> std::function<void(uint64_t)> {
                return [&](uint64_t i) {
                  Rng rng = Rng::ForKey(11, i, static_cast<uint64_t>(change));
                  looks[n + i] = LookOf(Changed(pictures[i], change, rng));
                };
              },
              {});
  const std::vector<uint32_t> groups = GroupNearDuplicates(looks, 2, {});
  size_t found = 0;
  std::map<uint32_t, size_t> picture_of_group;
  for (size_t i = 0; i < 2 * n; ++i) {
    if (groups[i] == 0) continue;
    const size_t other = picture_of_group.emplace(groups[i], i % n).first->second;
    EXPECT_TRUE(other == i % n || (before[other] != 0 && before[other] == before[i % n]))
        << other << " and " << i % n;
    if (i < n && groups[i] == groups[n + i]) ++found;
  }
  return static_cast<double>(found) / static_cast<double>(n);
}

TEST(NearDuplicatesTest, PlantedCopiesOfDrawnScenesAreFound) {
  constexpr int kSide = 128;
  std::vector<Image> pictures;
  std::vector<Look> originals;
  for (uint64_t i = 0; i < 105; ++i) {
    pictures.push_back({.width = kSide,
                        .height = kSide,
                        .pixels = DrawEndoscopy(static_cast<int>(i % 8), i / 8, kSide, 5)});
    originals.push_back(LookOf(EncodeJpeg(pictures.back(), 92).value()));
  }
  for (const uint32_t group : GroupNearDuplicates(originals, 2, {})) EXPECT_EQ(group, 0u);
  for (const Change change : kChanges) {
    EXPECT_GE(Found(pictures, originals, change), 0.99) << static_cast<int>(change);
  }
}

// Every picture of both shared sets, and all that is known by sight of their near-duplicates.
TEST(NearDuplicatesTest, PlantedCopiesOfRealPicturesAreFound) {
  const fs::path shared = testing::SharedDir();
  if (shared.empty()) GTEST_SKIP() << "NOT RUN: no ../shared (set MEAD_SHARED)";
  struct Set {
    const char* folder;
    size_t every;   // only each so many are changed, to save time
    size_t groups;  // all looked at: copies of a file, and neighbouring frames of one scene
  };
  for (const Set& set : {Set{"data/kvasir-polyps", 2, 0}, Set{"data/cp-child-b", 5, 38}}) {
    std::vector<fs::path> paths;
    for (const auto& entry : fs::recursive_directory_iterator(shared / set.folder)) {
      if (entry.path().extension() == ".jpg") paths.push_back(entry.path());
    }
    std::sort(paths.begin(), paths.end());
    std::vector<Look> looks;
    std::vector<Image> pictures;
    std::vector<Look> originals;
    for (size_t i = 0; i < paths.size(); ++i) {
      const std::string file = ReadFile(paths[i]).value();
      looks.push_back(LookOf(file));
      if (i % set.every != 0) continue;
      ImageDecoder decoder;
      pictures.push_back(decoder.Decode(Bytes(file), 256).value());
      originals.push_back(looks.back());
    }
    const std::vector<uint32_t> groups = GroupNearDuplicates(looks, 2, {});
    EXPECT_EQ(*std::max_element(groups.begin(), groups.end()), set.groups) << set.folder;
    EXPECT_EQ(looks.size() - static_cast<size_t>(std::count(groups.begin(), groups.end(), 0u)),
              2 * set.groups);
    for (const Change change : kChanges) {
      EXPECT_GE(Found(pictures, originals, change), 0.99)
          << set.folder << " " << static_cast<int>(change);
    }
  }
}

TEST(NearDuplicatesTest, PicturesWithoutDetailAreOneOnlyIfTheirFilesAre) {
  const std::vector<Look> looks = {Flat(128, "a"), Flat(128, "b"), Flat(0, "c"),
                                   Flat(0, "d"),   Flat(128, "a"), Flat(0, "d")};
  EXPECT_EQ(GroupNearDuplicates(looks, 1, {}), (std::vector<uint32_t>{1, 0, 0, 2, 1, 2}));
}

TEST(NearDuplicatesTest, ChainsAreOneGroupAndOrderDoesNotMatter) {
  constexpr int kSide = 160;
  std::vector<Look> looks;
  for (uint64_t i = 0; i < 40; ++i) {
    const Image image = {.width = kSide, .height = kSide, .pixels = DrawEndoscopy(6, i, kSide, 3)};
    looks.push_back(LookOf(EncodeJpeg(image, 90).value()));
    for (int copy = 0; copy < static_cast<int>(i % 3); ++copy) {
      looks.push_back(LookOf(EncodeJpeg(Cropped(image, 1u << copy), 60).value()));
    }
  }
  const std::vector<uint32_t> groups = GroupNearDuplicates(looks, 1, {});
  std::reverse(looks.begin(), looks.end());
  std::vector<uint32_t> reversed = GroupNearDuplicates(looks, 3, {});
  std::reverse(reversed.begin(), reversed.end());
  std::map<uint32_t, uint32_t> renamed;
  size_t at = 0;
  for (uint64_t i = 0; i < 40; ++i) {
    for (uint64_t copy = 0; copy <= i % 3; ++copy, ++at) {
      EXPECT_EQ(groups[at] != 0, i % 3 != 0);
      EXPECT_EQ(groups[at], groups[at - copy]);
      EXPECT_EQ(renamed.emplace(groups[at], reversed[at]).first->second, reversed[at]);
    }
  }
}

TEST(NearDuplicatesTest, NoPicturesAreNoGroups) {
  EXPECT_TRUE(GroupNearDuplicates({}, 1, {}).empty());
}

TEST(ThumbnailTest, AveragesWhatEachCellCovers) {
  // Of one pixel, every cell; of as many as cells, each its own; of twice as many, the mean.
  const Image one = {.width = 1, .height = 1, .pixels = {90, 90, 90}};
  for (const uint8_t luma : MakeThumbnail(one).luma) EXPECT_EQ(luma, 90);
  for (const int per_cell : {1, 2}) {
    Image image;
    image.width = image.height = kThumbnailSide * per_cell;
    for (int y = 0; y < image.height; ++y) {
      for (int x = 0; x < image.width; ++x) {
        const auto value = static_cast<uint8_t>(x / per_cell + y / per_cell + (x + y) % per_cell);
        image.pixels.insert(image.pixels.end(), 3, value);
      }
    }
    const Thumbnail thumbnail = MakeThumbnail(image);
    for (int i = 0; i < kThumbnailSide * kThumbnailSide; ++i) {
      const int expected = i / kThumbnailSide + i % kThumbnailSide + (per_cell - 1);  // 0.5 is up
      EXPECT_EQ(thumbnail.luma[static_cast<size_t>(i)], expected);
    }
  }
}

TEST(SamePictureTest, HardEdgesAndFlatPartsAreNoTrouble) {
  // A black box and a grey one beside some detail: running sums must not go below zero there.
  Image image = SmoothImage(240, 180, 4);
  for (int y = 60; y < 180; ++y) {
    for (int x = 0; x < 160; ++x) {
      for (int c = 0; c < 3; ++c) {
        image.pixels[static_cast<size_t>(3 * (y * 240 + x) + c)] = x < 80 ? 0 : 200;
      }
    }
  }
  const Detail detail = DetailOf(MakeThumbnail(image));
  for (const float value : detail.values) EXPECT_TRUE(std::isfinite(value));
  EXPECT_NEAR(Similarity(detail, detail), 1, 1e-6);
}

TEST(SamePictureTest, LightDoesNotCountAndDetailDoes) {
  const auto detail = [](const Image& image) { return DetailOf(MakeThumbnail(image)); };
  const Image image = SmoothImage(240, 180, 1);
  EXPECT_GT(Similarity(detail(image), detail(Relit(image, 0.8, 10))), 0.98);
  EXPECT_LT(Similarity(detail(image), detail(SmoothImage(240, 180, 2))), kSamePicture);
}

}  // namespace
}  // namespace mead::dataset
