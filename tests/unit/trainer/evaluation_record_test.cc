#include "worker/trainer/evaluation_record.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>

#include "tests/unit/trainer/example_manifest.h"
#include "worker/train/errors.h"

namespace mead::trainer {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr uint64_t kLast[] = {2};
constexpr uint64_t kFirstTwo[] = {0, 1};
constexpr float kOfLast[] = {-0.1f, -2.4f};
constexpr float kOfFirstTwo[] = {-0.2f, -1.7f, -3.0f, -0.05f};

TEST(EvaluationRecord, PicturesLieInTheSplitsOrderWhateverTheBatches) {
  EvaluationRecord record(ExampleManifest());
  const auto alone = train::MakeCommunicator({}, nullptr);
  record.Add(kLast, kOfLast);
  record.Add(kFirstTwo, kOfFirstTwo);
  record.Join(*alone);
  const results::Predictions predictions = record.ToPredictions("t-0", 4, "sha256:ab");
  EXPECT_THAT(predictions.keys, ElementsAre("polyp/1.jpg", "normal/3.jpg", "normal/4.jpg"));
  EXPECT_THAT(predictions.truth, ElementsAre(0, 1, 1));
  EXPECT_THAT(predictions.log_probabilities,
              ElementsAre(-0.2f, -1.7f, -3.0f, -0.05f, -0.1f, -2.4f));
  EXPECT_EQ(predictions.epoch, 4);
  EXPECT_EQ(predictions.manifest_digest, "sha256:ab");
  EXPECT_TRUE(results::Predictions::FromBytes(predictions.ToBytes()).ok());

  std::map<std::string, double> metrics;
  record.AddMetrics(metrics);
  EXPECT_EQ(metrics.size(), 5u);
  // Of "normal": right at the first, wrong at the second, right at the third.
  EXPECT_NEAR(metrics.at("val/average_precision/normal"), (1.0 + 2.0 / 3) / 2, 1e-12);
}

TEST(EvaluationRecord, APictureThatIsMissingOrComesTwiceIsAnError) {
  const auto alone = train::MakeCommunicator({}, nullptr);
  EvaluationRecord record(ExampleManifest());
  record.Add(kFirstTwo, kOfFirstTwo);
  try {
    record.Join(*alone);
    FAIL() << "a missing picture was overlooked";
  } catch (const train::TrainError& error) {
    EXPECT_THAT(error.what(), HasSubstr("normal/4.jpg was evaluated 0 times"));
  }
  record.Start();
  record.Add(kFirstTwo, kOfFirstTwo);
  record.Add(kLast, kOfLast);
  record.Add(kLast, kOfLast);
  EXPECT_THROW(record.Join(*alone), train::TrainError);
  record.Start();
  record.Add(kFirstTwo, kOfFirstTwo);
  record.Add(kLast, kOfLast);
  record.Join(*alone);
}

TEST(EvaluationRecord, ADivergedNetworkHasNoCalibration) {
  const auto alone = train::MakeCommunicator({}, nullptr);
  EvaluationRecord record(ExampleManifest());
  constexpr float kBroken[] = {NAN, NAN};
  record.Add(kLast, kBroken);
  record.Add(kFirstTwo, kOfFirstTwo);
  record.Join(*alone);
  std::map<std::string, double> metrics;
  record.AddMetrics(metrics);
  EXPECT_TRUE(std::isnan(metrics.at("val/ece")));
  EXPECT_TRUE(std::isnan(metrics.at("val/temperature")));
}

TEST(EvaluationRecord, ASplitBeyondTheBoundIsNotKept) {
  EvaluationRecord record(ExampleManifest(), /*max_values=*/5);
  EXPECT_FALSE(record.kept());
  record.Add(kLast, kOfLast);
  record.Join(*train::MakeCommunicator({}, nullptr));
  std::map<std::string, double> metrics;
  record.AddMetrics(metrics);
  EXPECT_TRUE(metrics.empty());
}

}  // namespace
}  // namespace mead::trainer
