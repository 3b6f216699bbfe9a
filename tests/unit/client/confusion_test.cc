#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "client/confusion_view.h"
#include "common/dataset/image.h"
#include "common/files.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::HasSubstr;

mead::v1::GetConfusionResponse Example() {
  mead::v1::GetConfusionResponse response;
  response.set_trial_id("swp-1-0");
  response.set_epoch(4);
  for (const char* name : {"esophagitis", "normal-z-line", "polyps"}) {
    response.mutable_confusion()->add_classes(name);
  }
  for (const int count : {64, 36, 0, 10, 90, 0, 0, 0, 100}) {
    response.mutable_confusion()->add_counts(count);
  }
  return response;
}

// The figures were computed with scikit-learn (accuracy_score, balanced_accuracy_score,
// f1_score(average="macro"), matthews_corrcoef on all and on each class against the rest) and
// Wilson's formula in Python.
TEST(Confusion, ShowsMatrixFiguresAndPairs) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  server.state().confusion = Example();
  const ClientResult result = home.Run({"confusion", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, R"(trial swp-1-0, epoch 4, 300 validation images

   true \ predicted   0   1    2  images   recall
0  esophagitis       64  36    .     100   64.0 %
1  normal-z-line     10  90    .     100   90.0 %
2  polyps             .   .  100     100  100.0 %

   class          recall %  95 % interval  precision %  95 % interval  specificity %     F1
0  esophagitis        64.0   54.2 to 72.7         86.5   76.9 to 92.5           95.0  0.736
1  normal-z-line      90.0   82.6 to 94.5         71.4   63.0 to 78.6           82.0  0.796
2  polyps            100.0  96.3 to 100.0        100.0  96.3 to 100.0          100.0  1.000

accuracy (top-1)   84.7 %  (95 % interval 80.2 to 88.3)
balanced accuracy  84.7 %
macro F1           0.8440
R_K                0.7788
MCC                0.7776  (mean of one class against the rest)

most confused:
  esophagitis taken for normal-z-line: 36 of 100 (36.0 %)
  normal-z-line taken for esophagitis: 10 of 100 (10.0 %)
)");
}

TEST(Confusion, ShowsTheCalibrationThatTheEpochReported) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  server.state().confusion = Example();
  auto& metrics = *server.state().confusion.mutable_metrics();
  metrics["val/ece"] = 0.08125;
  metrics["val/ece_scaled"] = 0.02;
  metrics["val/temperature"] = 1.75;
  EXPECT_THAT(home.Run({"confusion", "swp-1-0"}).out,
              HasSubstr("\ncalibration error  0.0813  (0.0200 at temperature 1.7500)\n"));
}

TEST(Confusion, SaysWhatIsPooled) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  server.state().confusion = Example();
  mead::v1::PooledConfusion& pooled = *server.state().confusion.mutable_pooled();
  pooled.set_sweep_id("swp-1");
  pooled.set_configuration(2);
  pooled.set_folds(3);
  for (const int epoch : {4, 7}) pooled.add_sources()->set_epoch(epoch);
  EXPECT_THAT(home.Run({"confusion", "swp-1-2.1", "--pooled"}).out,
              HasSubstr("configuration 2 of sweep swp-1, 2 of 3 folds together (epochs 4, 7), 300 "
                        "validation images\n"));
  EXPECT_THAT(home.Run({"confusion", "swp-1-2.1"}).out, HasSubstr("trial swp-1-0, epoch 4, 300"));
}

TEST(Confusion, AnOldCoordinatorsAnswerIsNotTakenForPooled) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  server.state().confusion = Example();
  const ClientResult result = home.Run({"confusion", "swp-1-0", "--pooled"});
  EXPECT_NE(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("cannot pool folds"));
}

TEST(Confusion, IsWrittenAsAPicture) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  server.state().confusion = Example();
  const std::string path = (home.dir() / "matrix.png").string();
  const ClientResult result = home.Run({"confusion", "swp-1-0", "--png", path});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto file = ReadFile(path);
  ASSERT_TRUE(file.ok());
  const auto image = dataset::ImageDecoder().Decode(
      {reinterpret_cast<const uint8_t*>(file->data()), file->size()});
  ASSERT_TRUE(image.ok()) << image.status();
  // Cells of 64 pixels, behind the longest name. The last one, all polyps, is full; the one left
  // of it is empty.
  const auto near_corner = [&image](int truth, int predicted) {
    const int x = 202 + 64 * predicted + 4, y = 64 + 64 * truth + 4;
    const auto first = image->pixels.begin() + 3 * (y * image->width + x);
    return std::vector<int>(first, first + 3);
  };
  EXPECT_THAT(near_corner(2, 2), ::testing::ElementsAre(23, 92, 140));
  EXPECT_THAT(near_corner(2, 1), ::testing::ElementsAre(255, 255, 255));
  EXPECT_GT(near_corner(0, 1)[0], near_corner(0, 1)[1]) << "errors are red";
}

TEST(Confusion, AnEpochThatIsNotThereIsWrongUsage) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  const ClientResult result = home.Run({"confusion", "swp-1-0", "--epoch", "9"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_EQ(result.err, "mead: no epoch 9 yet; 1 to 5\n");
}

TEST(Confusion, CountsThatDoNotFitAreAnError) {
  FakeServer server;
  ClientHome home;
  home.Set("MEAD_SERVER", server.address());
  server.state().confusion = Example();
  server.state().confusion.mutable_confusion()->add_counts(1);
  const ClientResult result = home.Run({"confusion", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("10 counts for 3 classes"));
}

}  // namespace
}  // namespace mead::client
