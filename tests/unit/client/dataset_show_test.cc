#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "client/augment_option.h"
#include "client/contact_sheet.h"
#include "client/dataset_pictures.h"
#include "client/glyphs.h"
#include "common/augment/render.h"
#include "common/dataset/image.h"
#include "common/dataset/manifest.h"
#include "common/dataset/synth.h"
#include "common/files.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

dataset::Image ReadPng(const std::filesystem::path& path) {
  const std::string file = ReadFile(path).value();
  dataset::ImageDecoder decoder;
  return decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()}).value();
}

// The picture of a row and column of a sheet.
std::vector<uint8_t> Tile(const dataset::Image& sheet, int side, int row, int column) {
  std::vector<uint8_t> pixels;
  const int left = 4 + column * (side + 4);
  const int top = 24 + row * (side + 16);
  for (int y = top; y < top + side; ++y) {
    const auto from = sheet.pixels.begin() + ptrdiff_t{3} * (y * ptrdiff_t{sheet.width} + left);
    pixels.insert(pixels.end(), from, from + 3 * side);
  }
  return pixels;
}

class DatasetShowTest : public ::testing::Test {
 protected:
  DatasetShowTest() { home_.Set("MEAD_SERVER", server_.address()); }

  // A drawn data set that the server has.
  dataset::Manifest Add() {
    const ClientResult made =
        home_.Run({"dataset", "synth", "demo", "--images-per-class", "5", "--size", "64"});
    EXPECT_EQ(made.exit_code, 0) << made.err;
    const std::string digest = server_.state().created.at(0).manifest_digest();
    mead::v1::Dataset dataset;
    dataset.set_name("demo");
    dataset.set_manifest_digest(digest);
    server_.state().datasets = {dataset};
    return dataset::Manifest::FromJson(server_.state().artifacts[digest]).value();
  }

  ClientResult Show(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"dataset", "show"});
    arguments.insert(arguments.end(), {"--png", png()});
    return home_.Run(arguments);
  }
  std::string png() const { return (home_.dir() / "sheet.png").string(); }

  FakeServer server_;
  ClientHome home_;
};

TEST_F(DatasetShowTest, TilesAreWhatATrainerSees) {
  const dataset::Manifest manifest = Add();
  server_.state().download_breaks_after = 1000;
  const ClientResult result = Show(
      {"demo", "--size", "48", "--count", "3", "--epoch", "4", "--seed", "9", "--pictures", "5",
       "--augment", "rotate=180,flip=both,crop_scale=[0.5, 0.9],lighting=0.2,erasing=0.5"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, png() +
                            ": 5 training pictures, 48 pixels a side, as they are and in "
                            "epochs 4 to 6 with seed 9\n");
  const dataset::Image sheet = ReadPng(png());
  EXPECT_EQ(sheet.width, 4 * 52 + 4);
  const AugmentOptions options{.rotate = 180,
                               .flip = Flip::kBoth,
                               .crop_lo = 0.5,
                               .crop_hi = 0.9,
                               .lighting = 0.2,
                               .erasing = 0.5};
  const std::vector<uint32_t> training = manifest.SamplesOf(dataset::Split::kTrain);
  std::vector<uint32_t> classes;
  for (const uint32_t index : training) classes.push_back(manifest.samples[index].class_id);
  const std::vector<uint64_t> chosen = ChoosePictures(classes, 8, 5, std::nullopt, 9);
  ASSERT_EQ(chosen.size(), 5u);
  dataset::ImageDecoder decoder;
  for (size_t row = 0; row < chosen.size(); ++row) {
    const dataset::Sample& sample = manifest.samples[training[chosen[row]]];
    const std::string& shard = server_.state().artifacts[manifest.shards[sample.shard].digest];
    const std::string file = shard.substr(sample.offset, sample.size);
    const dataset::Image image =
        decoder
            .Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()},
                    DecodeSideFor(options, 48))
            .value();
    const PictureSize size{image.width, image.height};
    for (uint64_t epoch = 4; epoch <= 6; ++epoch) {
      std::vector<uint8_t> expected(3 * 48 * 48);
      RenderAugmented(image.pixels.data(), size,
                      DrawAugmentation({9, epoch, chosen[row]}, options, size, 48), 48,
                      expected.data());
      EXPECT_EQ(Tile(sheet, 48, static_cast<int>(row), static_cast<int>(epoch) - 3), expected)
          << "row " << row << ", epoch " << epoch;
    }
  }
}

TEST_F(DatasetShowTest, DownloadsNothingButThePictures) {
  const dataset::Manifest manifest = Add();
  const ClientResult result = Show({"demo", "--pictures", "1", "--class", "polyps", "-o", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out, AllOf(HasSubstr("\"png\""), HasSubstr("polyps/")));
  uint64_t largest = 0;
  for (const dataset::Sample& sample : manifest.samples) largest = std::max(largest, sample.size);
  EXPECT_LE(server_.state().downloaded_bytes, manifest.ToJson().size() + largest);
}

TEST_F(DatasetShowTest, MixedRowsShareThePicturesOfTheNext) {
  Add();
  ASSERT_EQ(Show({"demo", "--size", "32", "--count", "2", "--pictures", "3", "--augment",
                  "flip=none,mixup=1"})
                .exit_code,
            0);
  const dataset::Image mixed = ReadPng(png());
  ASSERT_EQ(
      Show({"demo", "--size", "32", "--count", "2", "--pictures", "3", "--augment", "flip=none"})
          .exit_code,
      0);
  const dataset::Image plain = ReadPng(png());
  for (int epoch = 1; epoch <= 2; ++epoch) {
    const MixPlan plan = DrawMix({1, static_cast<uint64_t>(epoch), 0}, {.mixup = 1}, 32);
    for (int row = 0; row < 3; ++row) {
      std::vector<uint8_t> expected(3 * 32 * 32);
      MixPictures(Tile(plain, 32, row, epoch).data(), Tile(plain, 32, (row + 1) % 3, epoch).data(),
                  plan, 32, expected.data());
      EXPECT_EQ(Tile(mixed, 32, row, epoch), expected);
    }
  }
}

TEST_F(DatasetShowTest, ShowsWhatLiesHereWithoutAServer) {
  dataset::SynthOptions synth;
  synth.out_dir = (home_.dir() / "pictures").string();
  synth.images_per_class = 2;
  synth.size = 64;
  ASSERT_TRUE(dataset::SynthesizeDataset(synth).ok());
  home_.Set("MEAD_SERVER", "127.0.0.1:1");
  const ClientResult result = Show({"--path", synth.out_dir, "--size", "32", "--count", "0"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(ReadPng(png()).width, 32 + 8);
  // A table of some of them, which "dataset add" takes as well.
  std::string table = "path,label\n";
  for (const auto& file : std::filesystem::recursive_directory_iterator(synth.out_dir)) {
    if (!file.is_regular_file()) continue;
    const std::filesystem::path name = file.path().lexically_relative(synth.out_dir);
    table += name.string() + "," + (name.string().starts_with("polyps") ? "polyp" : "other") + "\n";
  }
  const std::string csv = synth.out_dir + "/labels.csv";
  ASSERT_TRUE(WriteFileAtomically(csv, table).ok());
  const ClientResult shown = Show({"--path", csv, "--class", "polyp", "-o", "json"});
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_THAT(shown.out, HasSubstr("\"polyps/"));
  const ClientResult missing = Show({"--path", csv + "x"});
  EXPECT_NE(missing.exit_code, 0);
  EXPECT_THAT(missing.err, HasSubstr("did you mean labels.csv?"));
}

TEST_F(DatasetShowTest, WrongUseIsSaidInWords) {
  Add();
  const auto error = [&](const std::vector<std::string>& arguments) {
    const ClientResult result = Show(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    return result.err;
  };
  EXPECT_THAT(error({}), HasSubstr("NAME of a data set, or --path PATH"));
  EXPECT_THAT(error({"demo", "--path", "x"}), HasSubstr("NAME of a data set, or --path PATH"));
  EXPECT_THAT(error({"demo", "--class", "polyp"}), HasSubstr("did you mean polyps?"));
  EXPECT_THAT(error({"other"}), HasSubstr("other"));
  EXPECT_THAT(error({"demo", "--augment", "rotat=3"}), HasSubstr("did you mean rotate?"));
  EXPECT_THAT(error({"demo", "--augment", "rotate=200"}), HasSubstr("expected 0 to 180 degrees"));
  EXPECT_THAT(error({"demo", "--augment", "flip=up"}), HasSubstr("none, horizontal, vertical"));
  EXPECT_THAT(error({"demo", "--augment", "crop_scale=[1]"}), HasSubstr("two shares"));
  EXPECT_THAT(error({"demo", "--augment", "mixup=-1"}), HasSubstr("expected 0 to 100"));
  EXPECT_THAT(error({"demo", "--augment", "position_box=cut"}), HasSubstr("keep, mask or crop"));
  EXPECT_THAT(error({"demo", "--size", "4000"}), HasSubstr("from 16 to 1024 pixels"));
  EXPECT_THAT(error({"demo", "--size", "1024", "--count", "64"}), HasSubstr("million pixels"));
}

TEST(ShownTraining, TakesASweepFilesWordsAndReplacesKeys) {
  const ClientHome home;
  const std::string path = home.Write("sweep.yaml",
                                      "apiVersion: mead/v1\nkind: Sweep\nname: a\ndataset: b\n"
                                      "train:\n  image_size: 96\n  seed: 5\n  weights: none.pth\n"
                                      "  augment: {rotate: 90, lighting: 0.1, cutmix: 1}\n");
  const ShownTraining shown = ReadShownTraining("rotate=45,crop_scale=[0.5,1]", path).value();
  EXPECT_EQ(shown.image_size, 96);
  EXPECT_EQ(shown.seed, 5u);
  EXPECT_EQ(shown.augment.rotate, 45);
  EXPECT_EQ(shown.augment.crop_lo, 0.5);
  EXPECT_EQ(shown.augment.lighting, 0.1);
  EXPECT_EQ(shown.augment.flip, Flip::kHorizontal);
  EXPECT_EQ(shown.mix.cutmix, 1);
}

TEST(ChoosePictures, TakesClassesByTurnsAndNoPictureTwice) {
  const std::vector<uint32_t> classes = {0, 0, 0, 1, 2, 2, 0};
  EXPECT_EQ(ChoosePictures(classes, 3, 100, std::nullopt, 1),
            (std::vector<uint64_t>{0, 1, 2, 6, 3, 4, 5}));
  EXPECT_EQ(ChoosePictures(classes, 3, 100, 2, 1), (std::vector<uint64_t>{4, 5}));
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<uint64_t> three = ChoosePictures(classes, 3, 3, std::nullopt, seed);
    ASSERT_EQ(three.size(), 3u);
    EXPECT_EQ(classes[three[0]], 0u);
    EXPECT_EQ(classes[three[1]], 1u);
    EXPECT_EQ(classes[three[2]], 2u);
  }
}

TEST(Glyphs, ALetterIsItsDotsAndTextIsCutOffAtItsWidth) {
  dataset::Image image{20, 10, std::vector<uint8_t>(3 * 20 * 10)};
  DrawText("LL", 1, 1, 11, 1, {255, 255, 255}, image);
  std::string drawn;
  for (int y = 0; y < 10; ++y) {
    for (int x = 0; x < 20; ++x) {
      drawn += image.pixels[static_cast<size_t>(3 * (y * 20 + x))] == 255 ? '#' : '.';
    }
    drawn += '\n';
  }
  std::string expected = "....................\n";
  for (int i = 0; i < 6; ++i) expected += ".#.....#............\n";
  expected += ".#####.#####........\n";
  for (int i = 0; i < 2; ++i) expected += "....................\n";
  EXPECT_EQ(drawn, expected);
  std::fill(image.pixels.begin(), image.pixels.end(), 0);
  DrawText("LLLL", 1, 1, 10, 1, {255, 255, 255}, image);
  EXPECT_EQ(image.pixels[3 * (20 + 7)], 0);
}

}  // namespace
}  // namespace mead::client
