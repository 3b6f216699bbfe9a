#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "client/event_file.h"
#include "client/mlflow_store.h"
#include "client/torch_file.h"
#include "common/files.h"
#include "common/results/tensor_file.h"
#include "common/sha256.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"
#include "worker/train/state/input_file.h"
#include "worker/train/state/torch_file.h"

namespace mead::client {
namespace {

using google::protobuf::TextFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string Bytes(const std::vector<float>& values) {
  std::string bytes(values.size() * sizeof(float), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

// A coordinator with one trial: two epochs of metrics and a checkpoint of the better one.
class ExportTest : public ::testing::Test {
 protected:
  ExportTest() {
    home_.Set("MEAD_SERVER", server_.address());
    FakeState& state = server_.state();
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(trial { id: "swp-1-0" sweep_id: "swp-1" epochs_done: 2
                   params { path: "optimizer.lr" value { number: 0.5 } }
                   params { path: "note" value { text: "a,\"b\"" } } }
           config { model: "resnet18" image_size: 64 })",
        &state.trials["swp-1-0"]));
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(trial_id: "swp-1-0"
           points { epoch: 1 step: 10 name: "val/accuracy" value: 0.5 time { seconds: 1000 } }
           points { epoch: 1 step: 10 name: "val/recall/a,b" value: 0.25 time { seconds: 1000 } }
           points { epoch: 2 step: 20 name: "val/accuracy" value: 0.75 time { seconds: 1060 } })",
        &state.metrics));
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(trial_id: "swp-1-0" epoch: 2 confusion { classes: "polyp" classes: "normal" }
           metrics { key: "val/accuracy" value: 0.75 })",
        &state.confusion));
  }

  // Tensors by name, all of type F32 and shape [n].
  void StoreCheckpoint(const std::vector<std::pair<std::string, std::vector<float>>>& tensors) {
    std::vector<std::pair<std::string, results::Tensor>> entries;
    std::string data;
    for (const auto& [name, values] : tensors) {
      entries.push_back(
          {name, {"F32", {static_cast<int64_t>(values.size())}, 0, values.size() * sizeof(float)}});
      data += Bytes(values);
    }
    const std::string file = results::MakeHeader(entries, {{"epoch", "2"}}) + data;
    FakeState& state = server_.state();
    state.artifacts[DigestOf(file)] = file;
    mead::v1::Checkpoint& best =
        *state.trials["swp-1-0"].mutable_trial()->mutable_best_checkpoint();
    best.set_epoch(2);
    best.set_digest(DigestOf(file));
    best.set_size_bytes(file.size());
  }

  ClientResult Export(const std::string& format) const {
    return home_.Run({"export", "swp-1-0", "--to", Path("out"), "--format", format});
  }
  std::string Path(const std::string& name) const { return (home_.dir() / name).string(); }
  std::string Read(const std::string& name) const { return *ReadFile(Path(name)); }

  FakeServer server_;
  ClientHome home_;
};

TEST_F(ExportTest, CsvHasARowAnEpochAndQuotesWhatNeedsIt) {
  const ClientResult result = Export("csv");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, Path("out/metrics.csv") + "\n" + Path("out/parameters.csv") + "\n");
  EXPECT_EQ(Read("out/metrics.csv"),
            "epoch,step,val/accuracy,\"val/recall/a,b\"\n"
            "1,10,0.5,0.25\n"
            "2,20,0.75,\n");
  EXPECT_EQ(Read("out/parameters.csv"),
            "parameter,value\noptimizer.lr,0.5\nnote,\"a,\"\"b\"\"\"\n");
}

TEST_F(ExportTest, JsonHoldsTrialConfigurationAndMetrics) {
  ASSERT_EQ(Export("json").exit_code, 0);
  const auto json = nlohmann::json::parse(Read("out/trial.json"));
  EXPECT_EQ(json["trial"]["id"], "swp-1-0");
  EXPECT_EQ(json["config"]["model"], "resnet18");
  EXPECT_EQ(json["metrics"].size(), 3u);
  EXPECT_EQ(json["metrics"][2]["value"], 0.75);
}

TEST_F(ExportTest, MlflowHasAnExperimentPerSweepAndARunPerTrial) {
  mead::v1::GetTrialResponse& response = server_.state().trials["swp-1-0"];
  ASSERT_TRUE(TextFormat::MergeFromString(
      R"(trial { state: TRIAL_STATE_FAILED start_time { seconds: 990 } end_time { seconds: 1070 }
                 fold: 2 configuration: 3 }
         config { optimizer { lr: 0.5 } augment { crop_scale: [0.5, 1] } })",
      &response));
  mead::v1::MetricPoint& odd = *server_.state().metrics.add_points();
  odd.set_name("val/recall/../../x");
  odd.set_value(0.125);
  const ClientResult result = Export("mlflow");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string run = result.out.substr(0, result.out.size() - 1);
  const std::string again = Export("mlflow").out;
  EXPECT_EQ(again, result.out) << "a trial written again takes its place";
  const auto read = [&run](const std::string& name) { return *ReadFile(run + "/" + name); };
  EXPECT_EQ(read("metrics/val/accuracy"), "1000000 0.5 10\n1060000 0.75 20\n");
  EXPECT_EQ(read("metrics/val/recall/a_b"), "1000000 0.25 10\n");
  EXPECT_EQ(read("metrics/val/recall/.._.._x"), "0 0.125 0\n");
  EXPECT_EQ(read("params/optimizer.lr"), "0.5");
  EXPECT_EQ(read("params/augment.crop_scale"), "[0.5,1]");
  EXPECT_EQ(read("params/model"), "resnet18");
  EXPECT_EQ(read("tags/mlflow.runName"), "swp-1-0");
  EXPECT_EQ(read("tags/mead.fold"), "2");
  EXPECT_EQ(nlohmann::json::parse(read("artifacts/trial.json"))["metrics"].size(), 4u);
  const std::string meta = read("meta.yaml");
  EXPECT_THAT(meta, HasSubstr("\nstart_time: 990000\nstatus: 4\n"));
  EXPECT_THAT(meta, HasSubstr("\nend_time: 1070000\n"));
  EXPECT_THAT(meta, HasSubstr("run_id: \"" + run.substr(run.rfind('/') + 1) + "\"\n"));
  EXPECT_THAT(*ReadFile(run + "/../meta.yaml"), HasSubstr("name: \"mead swp-1\"\n"));
}

TEST(MlflowNames, AreWhatMlflowAndAFolderTake) {
  EXPECT_EQ(MlflowName("val/recall/a.b c:d_e-f"), "val/recall/a.b c:d_e-f");
  EXPECT_EQ(MlflowName("val/recall/a,b/c"), "val/recall/a_b_c");
  EXPECT_EQ(MlflowName("val/recall/.."), "val/recall/__");
  EXPECT_EQ(MlflowName("../x"), "__/x");
  EXPECT_EQ(MlflowName("/x"), "_/x");
  EXPECT_LE(MlflowName(std::string(300, 'a') + "/b/" + std::string(300, 'c')).size(), 250u);
}

TEST_F(ExportTest, SafetensorsHoldsTheModelAndNotTheOptimizer) {
  StoreCheckpoint({{"fc.weight", {1, 2}}, {"optimizer.momentum.fc.weight", {7, 8}}});
  const ClientResult result = Export("safetensors");
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const std::string file = Read("out/model.safetensors");
  const auto header_bytes = results::HeaderBytes(file);
  const auto header = results::ParseHeader(file.substr(8, *header_bytes), file.size());
  ASSERT_TRUE(header.ok()) << header.status();
  ASSERT_EQ(header->tensors.size(), 1u);
  EXPECT_EQ(file.substr(header->tensors.at("fc.weight").begin), Bytes({1, 2}));
  const auto card = nlohmann::json::parse(Read("out/model.json"));
  EXPECT_EQ(card["classes"], (std::vector<std::string>{"polyp", "normal"}));
  EXPECT_EQ(card["input"]["size"], 64);
  EXPECT_EQ(card["averaged_weights"], false);
  EXPECT_EQ(card["metrics"]["val/accuracy"], 0.75);
}

TEST_F(ExportTest, TheCardSaysWhatTheCheckpointsEpochWasEvaluatedWith) {
  {
    mead::v1::TrainConfig& config = *server_.state().trials["swp-1-0"].mutable_config();
    ASSERT_TRUE(TextFormat::ParseFromString(
        R"(model: "resnet50" image_size: 64 stride: "v1" augment { position_box: "mask" }
           phases { epochs: 1 image_size: 32 } phases { epochs: 1 image_size: 96 }
           phases { epochs: 3 })",
        &config));
  }
  StoreCheckpoint({{"fc.weight", {1, 2}}});  // of epoch 2
  ASSERT_EQ(Export("safetensors").exit_code, 0);
  const auto card = nlohmann::json::parse(Read("out/model.json"));
  EXPECT_EQ(card["input"]["size"], 96);
  EXPECT_EQ(card["input"]["position_box"], "mask");
  EXPECT_EQ(card["stride"], "v1");
}

TEST_F(ExportTest, AveragedWeightsAreTheModelThatWasEvaluated) {
  StoreCheckpoint({{"bn1.running_mean", {5}},
                   {"fc.weight", {1, 2}},
                   {"optimizer.ema.fc.weight", {3, 4}},
                   {"optimizer.steps.ema", {9}}});
  ASSERT_EQ(Export("safetensors").exit_code, 0);
  const std::string file = Read("out/model.safetensors");
  EXPECT_EQ(file.substr(file.size() - 12), Bytes({5, 3, 4}));
  EXPECT_EQ(nlohmann::json::parse(Read("out/model.json"))["averaged_weights"], true);
}

TEST_F(ExportTest, ThePthFileReadsBackWithTheTrainersReader) {
  StoreCheckpoint({{"fc.bias", {0.5f}}, {"fc.weight", {1, -2, 3}}});
  ASSERT_EQ(Export("torchvision").exit_code, 0);
  const auto file = train::TorchFile::Open(
      std::make_unique<train::InputFile>(train::InputFile::Open(Path("out/model.pth"))));
  ASSERT_EQ(file.tensors().size(), 2u);
  const train::TorchTensor& weight = file.tensors().at("fc.weight");
  EXPECT_THAT(weight.shape, ElementsAre(3));
  EXPECT_EQ(weight.begin % 64, 0) << "torch.load maps storages at multiples of 64";
  std::vector<float> values(3);
  file.Read(weight, values.data());
  EXPECT_THAT(values, ElementsAre(1, -2, 3));
}

TEST_F(ExportTest, ATrialWithoutCheckpointSaysSo) {
  const ClientResult result = Export("torchvision");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("swp-1-0 has no checkpoint of its best epoch yet"));
}

TEST_F(ExportTest, ADamagedCheckpointIsAnErrorInWords) {
  StoreCheckpoint({{"optimizer.momentum", {1}}});
  const ClientResult result = Export("torchvision");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("holds no tensors of a model"));
}

TEST_F(ExportTest, AnUnknownFormatIsWrongUsageThatListsThem) {
  const ClientResult result = Export("onnx");
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("torchvision"));
}

TEST_F(ExportTest, TensorboardGetsOneEventFileARun) {
  ASSERT_EQ(Export("tensorboard").exit_code, 0);
  const std::string file = Read("out/swp-1-0/events.out.tfevents.0000001000.mead");
  EXPECT_EQ(file.substr(8 + 4 + 9 + 2, 13), "brain.Event:2");
  EXPECT_THAT(file, HasSubstr("val/recall/a,b"));
}

TEST_F(ExportTest, PredictionWithoutATrainerBesideItSaysWhatToDo) {
  const ClientResult result = home_.Run({"predict", "swp-1-0", "x.jpg"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("mead-trainer: prediction runs in it"));
}

// RFC 3720, B.4 has these.
TEST(Crc32c, GivesThePublishedSums) {
  EXPECT_EQ(Crc32c("123456789"), 0xe3069283u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8a9136aau);
  EXPECT_EQ(Crc32c(std::string(32, '\xff')), 0x62a8ab43u);
}

}  // namespace
}  // namespace mead::client
