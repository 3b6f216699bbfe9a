#include "common/dataset/synth.h"

#include <gmock/gmock.h>

#include <cmath>
#include <filesystem>

#include "common/files.h"
#include "tests/support/temp_dir.h"

namespace mead::dataset {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;

SynthOptions Options(const std::string& dir, int threads) {
  SynthOptions options;
  options.out_dir = dir;
  options.images_per_class = 5;
  options.size = 48;
  options.threads = threads;
  return options;
}

TEST(SynthTest, MakesAWholeDataSet) {
  const testing::TempDir dir;
  ASSERT_TRUE(SynthesizeDataset(Options(dir.Join("pictures"), 2)).ok());
  BuildOptions build;
  build.name = "synth";
  build.path = dir.Join("pictures");
  build.out_dir = dir.Join("out");
  const absl::StatusOr<Manifest> m = BuildDataset(build);
  ASSERT_TRUE(m.ok()) << m.status();
  EXPECT_EQ(m->classes, std::vector<std::string>(kKvasirClasses.begin(), kKvasirClasses.end()));
  EXPECT_THAT(m->ClassCounts(Split::kTrain), Each(4));
  EXPECT_THAT(m->ClassCounts(Split::kVal), Each(1));
  EXPECT_TRUE(m->quarantined.empty());
}

TEST(SynthTest, TheSameSeedGivesTheSameBytes) {
  const testing::TempDir dir;
  ASSERT_TRUE(SynthesizeDataset(Options(dir.Join("one"), 1)).ok());
  ASSERT_TRUE(SynthesizeDataset(Options(dir.Join("two"), 3)).ok());
  const std::string name = "polyps/polyps-00003.jpg";
  EXPECT_EQ(ReadFile(dir.path() / "one" / name).value(),
            ReadFile(dir.path() / "two" / name).value());
  EXPECT_NE(DrawEndoscopy(6, 3, 48, 1), DrawEndoscopy(6, 4, 48, 1));
  EXPECT_NE(DrawEndoscopy(6, 3, 48, 1), DrawEndoscopy(6, 3, 48, 2));
}

// Means over pictures: dye is blue, and an inflamed z-line differs from a healthy one far less than
// either does from a pylorus.
TEST(SynthTest, ClassesLookAsTheirNamesSay) {
  const auto mean = [](int class_id) {
    std::array<double, 3> sum{};
    for (uint64_t i = 0; i < 24; ++i) {
      const std::vector<uint8_t> pixels = DrawEndoscopy(class_id, i, 48, 1);
      for (size_t p = 0; p < pixels.size(); ++p) sum[p % 3] += pixels[p] / (24.0 * 48 * 48);
    }
    return sum;
  };
  const auto distance = [&](int a, int b) {
    const auto x = mean(a);
    const auto y = mean(b);
    return std::hypot(x[0] - y[0], x[1] - y[1], x[2] - y[2]);
  };
  EXPECT_GT(mean(0)[2] / mean(0)[0], 1.1 * mean(6)[2] / mean(6)[0]);
  EXPECT_GT(mean(1)[2] / mean(1)[0], 1.1 * mean(6)[2] / mean(6)[0]);
  EXPECT_LT(distance(2, 5), 0.5 * distance(5, 4));
}

TEST(SynthTest, OptionsOutOfRangeAreRefused) {
  SynthOptions options = Options("/nonexistent", 1);
  options.images_per_class = 0;
  EXPECT_THAT(std::string(SynthesizeDataset(options).message()), HasSubstr("expected 1 to 100000"));
  options = Options("/nonexistent", 1);
  options.size = 16;
  EXPECT_THAT(std::string(SynthesizeDataset(options).message()), HasSubstr("expected 32 to 2048"));
}

}  // namespace
}  // namespace mead::dataset
