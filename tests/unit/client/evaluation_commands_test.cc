#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/escaping.h"
#include "common/dataset/image.h"
#include "common/dataset/manifest.h"
#include "common/files.h"
#include "common/results/predictions.h"
#include "common/sha256.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using google::protobuf::TextFormat;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Picture(uint8_t shade) {
  dataset::Image image{.width = 600, .height = 300, .pixels = {}};
  image.pixels.assign(600 * 300 * 3, shade);
  return *dataset::EncodeJpeg(image, 90);
}

// A coordinator with a trial, its predictions of two epochs, and the data set's one shard.
class EvaluationCommandsTest : public ::testing::Test {
 protected:
  EvaluationCommandsTest() {
    home_.Set("MEAD_SERVER", server_.address());
    dataset::Manifest manifest;
    manifest.name = "kvasir";
    manifest.classes = {"polyp", "<b>normal"};
    manifest.split_method = "given";
    std::string shard;
    const char* const keys[] = {"polyp/1.jpg", "polyp/../<script>.jpg", "<b>normal/3.jpg"};
    for (int i = 0; i < 3; ++i) {
      pictures_.push_back(Picture(static_cast<uint8_t>(60 * i)));
      manifest.samples.push_back({.key = keys[i],
                                  .class_id = i < 2 ? 0u : 1u,
                                  .split = dataset::Split::kVal,
                                  .shard = 0,
                                  .offset = shard.size(),
                                  .size = pictures_.back().size(),
                                  .digest = DigestOf(pictures_.back()),
                                  .width = 600,
                                  .height = 300});
      shard += pictures_.back();
    }
    manifest.shards.push_back({.digest = Store(shard),
                               .bytes = shard.size(),
                               .split = dataset::Split::kVal,
                               .num_samples = 3});
    manifest_digest_ = Store(manifest.ToJson());
    results::Predictions predictions{
        .trial_id = "swp-1-0",
        .epoch = 2,
        .manifest_digest = manifest_digest_,
        .classes = manifest.classes,
        .keys = {keys[0], keys[1], keys[2]},
        .truth = {0, 0, 1},
        .log_probabilities = {-0.105361f, -2.302585f, -2.995732f, -0.051293f, -0.7f, -0.7f}};
    const std::string best = Store(predictions.ToBytes());
    predictions.epoch = 3;
    predictions.log_probabilities[4] = -0.1f;
    predictions.log_probabilities[5] = -5.5f;
    const std::string last = Store(predictions.ToBytes());
    mead::v1::Trial& trial = *server_.state().trials["swp-1-0"].mutable_trial();
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(id: "swp-1-0" state: TRIAL_STATE_SUCCEEDED epochs_done: 3 best_epoch: 2
           latest_predictions { epoch: 3 } best_predictions { epoch: 2 })",
        &trial));
    trial.mutable_best_predictions()->set_digest(best);
    trial.mutable_latest_predictions()->set_digest(last);
  }

  std::string Store(const std::string& bytes) {
    const std::string digest = DigestOf(bytes);
    server_.state().artifacts[digest] = bytes;
    return digest;
  }
  mead::v1::Trial& trial() { return *server_.state().trials["swp-1-0"].mutable_trial(); }
  std::string Path(const std::string& name) const { return (home_.dir() / name).string(); }

  FakeServer server_;
  ClientHome home_;
  std::vector<std::string> pictures_;
  std::string manifest_digest_;
};

TEST_F(EvaluationCommandsTest, TopLossesListsTheLargestFirst) {
  const ClientResult result = home_.Run({"top-losses", "swp-1-0", "--count", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "trial swp-1-0, epoch 2, 2 of 3 validation images\n"
            "\n"
            "   IMAGE                  TRUE               PREDICTED           LOSS\n"
            "1  polyp/../<script>.jpg  polyp       5.0 %  <b>normal  95.0 %  2.996\n"
            "2  <b>normal/3.jpg        <b>normal  49.7 %  polyp      49.7 %  0.700\n");
  EXPECT_EQ(
      home_.Run({"top-losses", "swp-1-0", "--epoch", "last", "--count", "1", "-o", "name"}).out,
      "<b>normal/3.jpg\n");
}

TEST_F(EvaluationCommandsTest, TopLossesNeedsNoPicturesForItsTable) {
  server_.state().artifacts.erase(manifest_digest_);
  EXPECT_EQ(home_.Run({"top-losses", "swp-1-0"}).exit_code, 0);
  const ClientResult result = home_.Run({"top-losses", "swp-1-0", "--to", Path("out")});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("no longer stored"));
}

TEST_F(EvaluationCommandsTest, PicturesAreWrittenByteForByteUnderNamesThatStayInTheFolder) {
  const ClientResult result =
      home_.Run({"top-losses", "swp-1-0", "--to", Path("out"), "-o", "json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["total"], "3");
  ASSERT_EQ(json["pictures"].size(), 3u);
  EXPECT_EQ(json["pictures"][0]["file"], Path("out/01_polyp_-b-normal_3.00_-script-.jpg"));
  EXPECT_EQ(*ReadFile(Path("out/01_polyp_-b-normal_3.00_-script-.jpg")), pictures_[1]);
  EXPECT_EQ(*ReadFile(Path("out/03_polyp_polyp_0.11_1.jpg")), pictures_[0]);
}

TEST_F(EvaluationCommandsTest, APictureThatIsNotWhatWasAddedIsNotWritten) {
  for (auto& [digest, bytes] : server_.state().artifacts) {
    if (bytes.size() > pictures_[0].size() * 2) bytes[pictures_[0].size() + 40] ^= 1;
  }
  const ClientResult result =
      home_.Run({"top-losses", "swp-1-0", "--count", "1", "--to", Path("out")});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("is not what was added"));
  EXPECT_TRUE(std::filesystem::is_empty(Path("out")));
}

TEST_F(EvaluationCommandsTest, ThePageHoldsThumbnailsAndEscapesNames) {
  const ClientResult result = home_.Run({"top-losses", "swp-1-0", "--html", Path("page.html")});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string page = *ReadFile(Path("page.html"));
  EXPECT_THAT(page, HasSubstr("polyp/../&lt;script&gt;.jpg"));
  EXPECT_THAT(page, HasSubstr("&lt;b&gt;normal 95.0 %"));
  EXPECT_THAT(page, Not(HasSubstr("<script>")));
  EXPECT_THAT(page, Not(HasSubstr("http://")));
  const std::string mark = "data:image/jpeg;base64,";
  const size_t begin = page.find(mark) + mark.size();
  std::string jpeg;
  ASSERT_TRUE(absl::Base64Unescape(page.substr(begin, page.find('"', begin) - begin), &jpeg));
  const auto image =
      dataset::ImageDecoder().Decode({reinterpret_cast<const uint8_t*>(jpeg.data()), jpeg.size()});
  ASSERT_TRUE(image.ok()) << image.status();
  EXPECT_EQ(image->width, 256);
  EXPECT_EQ(image->height, 128);
  EXPECT_NEAR(image->pixels[0], 60, 2);
}

TEST_F(EvaluationCommandsTest, WithoutPredictionsItSaysWhy) {
  trial().clear_best_predictions();
  ClientResult result = home_.Run({"top-losses", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("those of epoch 3 are there: --epoch last"));
  trial().clear_latest_predictions();
  result = home_.Run({"top-losses", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("too old to write them"));
  trial().set_epochs_done(0);
  EXPECT_THAT(home_.Run({"top-losses", "swp-1-0"}).err, HasSubstr("no predictions yet"));
}

TEST_F(EvaluationCommandsTest, PredictionsOfAnOlderBestEpochSaySo) {
  trial().set_best_epoch(3);
  const ClientResult result = home_.Run({"top-losses", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("these are of epoch 2"));
}

TEST_F(EvaluationCommandsTest, ThePrecisionRecallCurveGoesToTableJsonAndCsv) {
  const ClientResult table =
      home_.Run({"metrics", "swp-1-0", "--pr", "polyp", "--csv", Path("pr.csv")});
  ASSERT_EQ(table.exit_code, 0) << table.err;
  EXPECT_EQ(table.out,
            "trial swp-1-0, epoch 2: polyp against the rest, 2 of 3 validation images\n"
            "average precision 0.8333\n"
            "\n"
            "THRESHOLD  PRECISION   RECALL  TRUE POSITIVES  FALSE POSITIVES\n"
            "   0.9000    100.0 %   50.0 %               1                0\n"
            "   0.4966     50.0 %   50.0 %               1                1\n"
            "   0.0500     66.7 %  100.0 %               2                1\n");
  const std::string csv = *ReadFile(Path("pr.csv"));
  EXPECT_EQ(csv.substr(0, csv.find('\n')),
            "threshold,precision,recall,true_positives,false_positives");
  EXPECT_THAT(csv, HasSubstr(",0.666666667,1,2,1\n"));
  const auto json =
      nlohmann::json::parse(home_.Run({"metrics", "swp-1-0", "--pr", "polyp", "-o", "json"}).out);
  EXPECT_EQ(json["points"].size(), 3u);
  EXPECT_NEAR(json["averagePrecision"].get<double>(), 5.0 / 6, 1e-12);
}

TEST_F(EvaluationCommandsTest, AnUnknownClassIsAnErrorThatListsThem) {
  const ClientResult result = home_.Run({"metrics", "swp-1-0", "--pr", "polyps"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("no class 'polyps'; there are polyp, <b>normal"));
  EXPECT_EQ(home_.Run({"metrics", "swp-1-0", "--csv", "x"}).exit_code, 2);
  EXPECT_EQ(home_.Run({"top-losses", "swp-1-0", "--epoch", "2"}).exit_code, 2);
}

}  // namespace
}  // namespace mead::client
