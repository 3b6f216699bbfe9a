#include "worker/train/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <limits>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/unit/train/session_problem.h"

namespace mead::train {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

TEST(ResNet, ParameterCountsEqualTorchvisions) {
  const std::pair<const char*, int64_t> expected[] = {{"resnet18", 11'689'512},
                                                      {"resnet34", 21'797'672},
                                                      {"resnet50", 25'557'032},
                                                      {"resnet101", 44'549'160},
                                                      {"resnet152", 60'192'808}};
  for (const auto& [model, count] : expected) {
    TrainOptions options = Options();
    options.model = model;
    options.num_classes = 1000;
    EXPECT_EQ(TrainingSession(options, Alone()).parameter_count(), count) << model;
  }
}

TEST(ResNet, UnknownModelNamesTheKnownOnes) {
  TrainOptions options = Options();
  options.model = "resnet51";
  const std::string error =
      ErrorOf(ErrorKind::kUserError, [&] { TrainingSession session(options, Alone()); });
  EXPECT_THAT(error, HasSubstr("resnet18, resnet34, resnet50, resnet101, resnet152"));
}

double AccuracyAfterTraining(TrainOptions options) {
  options.epochs = 1;
  options.steps_per_epoch = 40;
  options.batch_size = 16;
  TrainingSession session(options, Alone());
  session.StartEpoch(1);
  for (uint64_t step = 0; step < 40; ++step) {
    const Pictures batch = MakePictures(16, 3, step);
    session.TrainStep(batch.pixels.data(), batch.labels.data(), 16, 16);
  }
  session.StartEvaluation();
  const Pictures test = MakePictures(100, 3, 999);
  const EvalResult result = session.EvalStep(test.pixels.data(), test.labels.data(), 100);
  int correct = 0;
  for (size_t i = 0; i < 100; ++i) correct += result.predicted[i] == test.labels[i];
  return correct / 100.0;
}

TEST(TrainingSession, LearnsATinyProblem) { EXPECT_GE(AccuracyAfterTraining(Options()), 0.95); }

TEST(TrainingSession, LearnsWithTheOptimizersForLargeBatches) {
  TrainOptions options = Options();
  options.optimizer = {.kind = OptimizerKind::kLars, .lr = 0.1, .trust_coefficient = 0.1};
  EXPECT_GE(AccuracyAfterTraining(options), 0.95);
  options.optimizer = {.kind = OptimizerKind::kLamb, .lr = 0.01};
  EXPECT_GE(AccuracyAfterTraining(options), 0.95);
}

TEST(TrainingSession, LearnsWithAdamWInBfloat16) {
  TrainOptions options = Options();
  options.optimizer = {.kind = OptimizerKind::kAdamW, .lr = 1e-3, .weight_decay = 0.01};
  options.precision = Precision::kBf16;
  options.label_smoothing = 0.1;
  EXPECT_GE(AccuracyAfterTraining(options), 0.95);
}

class Resume : public ::testing::TestWithParam<OptimizerKind> {};

TEST_P(Resume, GoesOnWithTheSameLossBits) {
  const testing::TempDir dir;
  const std::string middle = dir.Join("middle.safetensors");
  TrainOptions options = Options();
  options.optimizer = OptimizerDefaults(GetParam());
  options.phases = {{.epochs = 1, .freeze_body = true}, {.epochs = 2, .body_lr_scale = 0.3}};

  TrainingSession whole(options, Alone());
  TrainEpoch(whole, 1);
  TrainEpoch(whole, 2);
  whole.StartEvaluation();
  whole.SaveCheckpoint(middle, 2);
  const std::vector<double> expected = TrainEpoch(whole, 3);
  whole.SaveCheckpoint(dir.Join("whole.safetensors"), 3);

  TrainingSession resumed(options, Alone());
  const ResumePoint point = resumed.Resume(middle);
  EXPECT_EQ(point.epoch, 2);
  EXPECT_EQ(point.global_step, 8);
  EXPECT_EQ(TrainEpoch(resumed, 3), expected);
  resumed.SaveCheckpoint(dir.Join("resumed.safetensors"), 3);
  EXPECT_EQ(Tensors(dir.Join("resumed.safetensors")), Tensors(dir.Join("whole.safetensors")));
}

INSTANTIATE_TEST_SUITE_P(Optimizers, Resume,
                         ::testing::Values(OptimizerKind::kSgd, OptimizerKind::kAdamW,
                                           OptimizerKind::kLars, OptimizerKind::kLamb));

TEST_P(Resume, WithinAnEpochGoesOnWithTheSameBitsAndFigures) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.optimizer = OptimizerDefaults(GetParam());
  options.ema_decay = 0.9;
  const auto train = [](TrainingSession& session, int from, int to) {
    session.StartEpoch(1);
    std::vector<double> losses;
    for (int step = from; step < to; ++step) {
      const Pictures batch = MakePictures(8, 3, static_cast<uint64_t>(step));
      losses.push_back(session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8).loss);
    }
    return losses;
  };
  const EpochSoFar so_far{
      .steps = 3,
      .loss_sum = 0.1 + 0.2,  // a number without a short decimal text
      .correct = 17,
      .samples = 24,
      .learning_rate = 1e-3,
      .seconds = 1.0 / 3,
      .ledger = {
          {.attempt = 2, .begin = 0, .end = 3, .samples = 24, .sum_a = ~uint64_t{0}, .sum_b = 5}}};
  TrainingSession whole(options, Alone());
  train(whole, 0, 3);
  whole.SaveCheckpoint(dir.Join("middle"), 0, so_far);
  const std::vector<double> expected = train(whole, 3, 4);
  whole.SaveCheckpoint(dir.Join("whole"), 1);

  TrainingSession resumed(options, Alone());
  const ResumePoint point = resumed.Resume(dir.Join("middle"));
  EXPECT_EQ(point.epoch, 0);
  EXPECT_EQ(point.global_step, 3);
  EXPECT_EQ(point.so_far.steps, so_far.steps);
  EXPECT_EQ(point.so_far.loss_sum, so_far.loss_sum);
  EXPECT_EQ(point.so_far.correct, so_far.correct);
  EXPECT_EQ(point.so_far.samples, so_far.samples);
  EXPECT_EQ(point.so_far.learning_rate, so_far.learning_rate);
  EXPECT_EQ(point.so_far.seconds, so_far.seconds);
  EXPECT_EQ(point.so_far.ledger, so_far.ledger);
  EXPECT_EQ(train(resumed, 3, 4), expected);
  resumed.SaveCheckpoint(dir.Join("resumed"), 1);
  EXPECT_EQ(Tensors(dir.Join("resumed")), Tensors(dir.Join("whole")));
}

TEST(Checkpoint, WrittenBesideTrainingHoldsTheStateBeforeTheStepsThatFollow) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.ema_decay = 0.9;
  TrainingSession session(options, Alone());
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("before"), 1);
  std::string written;
  session.StartCheckpoint(dir.Join("beside"), 1, {}, [&] { written = "written"; });
  TrainEpoch(session, 2);
  session.AwaitCheckpoint();
  EXPECT_EQ(written, "written");
  EXPECT_FALSE(session.checkpoint_under_way());
  EXPECT_EQ(Tensors(dir.Join("beside")), Tensors(dir.Join("before")));
  EXPECT_GT(session.TakeCheckpointStall(), 0);
}

TEST(Checkpoint, ThatCannotBeWrittenNamesItsPathAndIsNotSaidToBeThere) {
  const testing::TempDir dir;
  const std::string path = dir.Join("missing") + "/c.safetensors";
  TrainingSession session(Options(), Alone());
  bool written = false;
  session.StartCheckpoint(path, 1, {}, [&] { written = true; });
  EXPECT_THAT(ErrorOf(ErrorKind::kInternal, [&] { session.AwaitCheckpoint(); }), HasSubstr(path));
  EXPECT_FALSE(written);
}

// As versions before checksums wrote it.
TEST(Checkpoint, OfTheFirstFormatIsGoneOnFrom) {
  const testing::TempDir dir;
  TrainingSession session(Options(), Alone());
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("new"), 1);
  const SafetensorsFile file = SafetensorsFile::Open(dir.Join("new"));
  std::map<std::string, std::vector<char>> bytes = Tensors(dir.Join("new"));
  std::vector<TensorData> tensors;
  for (const auto& [name, info] : file.tensors()) {
    tensors.push_back({.name = name,
                       .dtype = info.dtype,
                       .shape = info.shape,
                       .data = bytes.at(name).data(),
                       .make = nullptr});
  }
  std::map<std::string, std::string> metadata = file.metadata();
  metadata.erase(kChecksumsKey);
  WriteSafetensors(dir.Join("half"), tensors, metadata);
  EXPECT_THAT(ErrorOf(ErrorKind::kUserError, [&] { session.Resume(dir.Join("half")); }),
              HasSubstr("'mead.crc32c' is missing"));
  metadata.at("mead.checkpoint") = "1";
  WriteSafetensors(dir.Join("old"), tensors, metadata);
  TrainingSession resumed(Options(), Alone());
  const ResumePoint point = resumed.Resume(dir.Join("old"));
  EXPECT_EQ(point.epoch, 1);
  EXPECT_EQ(point.so_far.steps, 0);
  resumed.SaveCheckpoint(dir.Join("again"), 1);
  EXPECT_EQ(Tensors(dir.Join("again")), bytes);
}

TEST(Resume, OfAPlateauGoesOnWithTheRateThatHadFallen) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.schedule = ScheduleKind::kPlateau;
  options.patience = 1;
  options.stop_patience = 3;
  options.epochs = 4;
  TrainingSession whole(options, Alone());
  for (const int epoch : {1, 2}) {
    TrainEpoch(whole, epoch);
    whole.EndEpoch(0.5);
  }
  whole.SaveCheckpoint(dir.Join("middle"), 2);
  EXPECT_NEAR(whole.learning_rate(), 0.002, 1e-15);
  TrainingSession resumed(options, Alone());
  resumed.Resume(dir.Join("middle"));
  for (TrainingSession* session : {&whole, &resumed}) {
    EXPECT_NEAR(session->learning_rate(), 0.002, 1e-15);
    EXPECT_FALSE(session->stops_early());
    TrainEpoch(*session, 3);
    session->EndEpoch(0.5);
    TrainEpoch(*session, 4);
    EXPECT_NEAR(session->learning_rate(), 0.0002, 1e-15);
    session->EndEpoch(0.5);
    EXPECT_TRUE(session->stops_early());
    session->SaveCheckpoint(dir.Join(session == &whole ? "whole" : "resumed"), 4);
  }
  EXPECT_EQ(Tensors(dir.Join("whole")), Tensors(dir.Join("resumed")));
  // A trainer that was lost after this checkpoint and before it said so trains no further.
  TrainingSession late(options, Alone());
  late.Resume(dir.Join("whole"));
  EXPECT_TRUE(late.stops_early());
}

TEST(Checkpoint, OfOtherSettingsIsRefusedWithTheDifference) {
  const testing::TempDir dir;
  const std::string path = dir.Join("c.safetensors");
  TrainingSession(Options(), Alone()).SaveCheckpoint(path, 1);
  TrainOptions other = Options();
  other.seed = 2;
  TrainingSession session(other, Alone());
  const std::string error = ErrorOf(ErrorKind::kUserError, [&] { session.Resume(path); });
  EXPECT_THAT(error, HasSubstr("the checkpoint has seed 1 and this trial has 2"));
}

// Both keep "momentum.<parameter>", which means another thing to each.
TEST(Checkpoint, OfAnotherOptimizerIsRefused) {
  const testing::TempDir dir;
  const std::string path = dir.Join("c.safetensors");
  TrainingSession(Options(), Alone()).SaveCheckpoint(path, 1);
  TrainOptions other = Options();
  other.optimizer = OptimizerDefaults(OptimizerKind::kLars);
  TrainingSession session(other, Alone());
  const std::string error = ErrorOf(ErrorKind::kUserError, [&] { session.Resume(path); });
  EXPECT_THAT(error, HasSubstr("has optimizer sgd and this trial has lars"));
}

TEST(Checkpoint, IsAWeightsFileToo) {
  const testing::TempDir dir;
  const std::string path = dir.Join("c.safetensors");
  TrainingSession(Options(), Alone()).SaveCheckpoint(path, 1);
  TrainOptions other = Options();
  other.num_classes = 5;
  const WeightsReport report = TrainingSession(other, Alone()).LoadWeights(path);
  EXPECT_THAT(report.missing, IsEmpty());
  EXPECT_THAT(report.unexpected, IsEmpty());
  EXPECT_THAT(report.mismatched, Contains("fc.weight: file [3, 512], model [5, 512]"));
}

TEST(Weights, FileWithoutAnythingThatFitsIsAnError) {
  const testing::TempDir dir;
  const float value = 1;
  WriteSafetensors(dir.Join("w.safetensors"), {{.name = "x", .shape = {1}, .data = &value}}, {});
  TrainingSession session(Options(), Alone());
  EXPECT_THROW(session.LoadWeights(dir.Join("w.safetensors")), TrainError);
}

TEST(Weights, PartialImageNetWeightsLoadAndTheRestIsReported) {
  const auto path = testing::SharedDir() / "weights/resnet50-imagenet-to-layer3.safetensors";
  if (!std::filesystem::exists(path)) {
    GTEST_SKIP() << "NOT CHECKED: no ImageNet weights at " << path << "; set MEAD_SHARED";
  }
  TrainOptions options = Options();
  options.model = "resnet50";
  TrainingSession session(options, Alone());
  const WeightsReport report = session.LoadWeights(path.string());
  EXPECT_THAT(report.loaded, Contains("layer3.5.conv3.weight"));
  EXPECT_THAT(report.missing, Contains("layer4.0.conv1.weight"));
  EXPECT_THAT(report.missing, Contains("fc.bias"));
  EXPECT_THAT(report.unexpected, IsEmpty());
  EXPECT_THAT(report.mismatched, IsEmpty());
  EXPECT_THAT(report.Summary(), HasSubstr("missing: layer4.0.conv1.weight"));
}

TEST(Phases, FrozenBodyKeepsItsWeightsAndUnfrozenOneLearns) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.phases = {{.epochs = 1, .freeze_body = true}, {.epochs = 2}};
  TrainingSession session(options, Alone());
  session.SaveCheckpoint(dir.Join("0"), 0);
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("1"), 1);
  for (const std::string& name : Changed(dir.Join("0"), dir.Join("1"))) {
    EXPECT_TRUE(name.starts_with("fc.") || name.find("running_") != std::string::npos ||
                name.ends_with("num_batches_tracked"))
        << name;
  }
  TrainEpoch(session, 2);
  session.SaveCheckpoint(dir.Join("2"), 2);
  EXPECT_THAT(Changed(dir.Join("1"), dir.Join("2")), Contains("conv1.weight"));
}

// Held still, a stage at random would pass on noise for as long as the phase lasts.
TEST(Phases, WhatTheWeightsFileLackedIsNeverFrozen) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  TrainingSession(options, Alone()).SaveCheckpoint(dir.Join("whole"), 0);
  const SafetensorsFile whole = SafetensorsFile::Open(dir.Join("whole"));
  const std::map<std::string, std::vector<char>> values = Tensors(dir.Join("whole"));
  std::vector<TensorData> kept;
  for (const auto& [name, info] : whole.tensors()) {
    if (name.starts_with("optimizer.") || name.starts_with("layer4.")) continue;
    kept.push_back(
        {.name = name, .dtype = info.dtype, .shape = info.shape, .data = values.at(name).data()});
  }
  WriteSafetensors(dir.Join("to-layer3"), kept, {});

  options.phases = {{.epochs = 2, .freeze_body = true}, {.epochs = 1}};
  TrainingSession session(options, Alone());
  const WeightsReport report = session.LoadWeights(dir.Join("to-layer3"));
  EXPECT_THAT(report.Summary(), HasSubstr("1 at random, so never frozen: layer4"));
  session.SaveCheckpoint(dir.Join("0"), 0);
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("1"), 1);
  TrainingSession resumed(options, Alone());  // within the same phase
  resumed.Resume(dir.Join("1"));
  EXPECT_EQ(TrainEpoch(resumed, 2), TrainEpoch(session, 2));
  resumed.SaveCheckpoint(dir.Join("2"), 2);
  for (const auto& [before, after] : {std::pair("0", "1"), std::pair("1", "2")}) {
    const std::set<std::string> changed = Changed(dir.Join(before), dir.Join(after));
    EXPECT_THAT(changed, Contains("layer4.0.conv1.weight"));
    EXPECT_THAT(changed, Contains("fc.weight"));
    EXPECT_THAT(changed, Not(Contains("layer3.0.conv1.weight")));
    EXPECT_THAT(changed, Not(Contains("conv1.weight")));
  }

  TrainingSession full(options, Alone());
  EXPECT_THAT(full.LoadWeights(dir.Join("whole")).learning, IsEmpty());
}

TEST(Phases, WithoutWeightsNothingIsFrozen) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.phases = {{.epochs = 2, .freeze_body = true}, {.epochs = 1}};
  TrainingSession session(options, Alone());
  EXPECT_THAT(session.StayAtRandom(), ElementsAre("layer1", "layer2", "layer3", "layer4"));
  session.SaveCheckpoint(dir.Join("0"), 0);
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("1"), 1);
  const std::set<std::string> changed = Changed(dir.Join("0"), dir.Join("1"));
  EXPECT_THAT(changed, Contains("conv1.weight"));
  EXPECT_THAT(changed, Contains("layer4.0.conv1.weight"));
  TrainingSession resumed(options, Alone());  // within the same phase
  resumed.Resume(dir.Join("1"));
  EXPECT_EQ(TrainEpoch(resumed, 2), TrainEpoch(session, 2));

  options.phases = {{.epochs = 3}};
  EXPECT_THAT(TrainingSession(options, Alone()).StayAtRandom(), IsEmpty());
}

TEST(Phases, BodyScaleZeroKeepsTheBodyAndHeadScaleSetsTheRate) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.schedule = ScheduleKind::kConstant;
  options.phases = {{.epochs = 3, .body_lr_scale = 0, .head_lr_scale = 0.5}};
  TrainingSession session(options, Alone());
  EXPECT_DOUBLE_EQ(session.learning_rate(), 0.01);
  session.SaveCheckpoint(dir.Join("0"), 0);
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("1"), 1);
  const std::set<std::string> changed = Changed(dir.Join("0"), dir.Join("1"));
  EXPECT_THAT(changed, Contains("fc.weight"));
  EXPECT_FALSE(changed.contains("conv1.weight"));
}

TEST(BatchNorm, FrozenKeepsItsStatistics) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.freeze_batch_norm = true;
  TrainingSession session(options, Alone());
  session.SaveCheckpoint(dir.Join("0"), 0);
  TrainEpoch(session, 1, 1);
  session.SaveCheckpoint(dir.Join("1"), 1);
  const std::set<std::string> changed = Changed(dir.Join("0"), dir.Join("1"));
  EXPECT_TRUE(changed.contains("bn1.weight"));
  EXPECT_FALSE(changed.contains("bn1.running_mean"));
}

TEST(TrainingSession, InfiniteLossIsDivergedAndKeepsTheWeights) {
  const testing::TempDir dir;
  TrainingSession good(Options(), Alone());
  good.SaveCheckpoint(dir.Join("0"), 0);
  // A weight that is not finite stands for what a wild learning rate makes.
  auto tensors = Tensors(dir.Join("0"));
  const float infinity = std::numeric_limits<float>::infinity();
  std::memcpy(tensors["fc.bias"].data(), &infinity, sizeof(infinity));
  std::vector<TensorData> bias = {
      {.name = "fc.bias", .shape = {3}, .data = tensors["fc.bias"].data()}};
  WriteSafetensors(dir.Join("bad"), bias, {});
  TrainingSession session(Options(), Alone());
  session.LoadWeights(dir.Join("bad"));
  session.SaveCheckpoint(dir.Join("1"), 0);
  const std::string error = ErrorOf(ErrorKind::kDiverged, [&] { TrainEpoch(session, 1, 1); });
  EXPECT_THAT(error, HasSubstr("step 0"));
  EXPECT_EQ(session.global_step(), 0);
  session.SaveCheckpoint(dir.Join("2"), 0);
  EXPECT_FALSE(Changed(dir.Join("1"), dir.Join("2")).contains("fc.weight"));
}

TEST(TrainingSession, NotEnoughMemoryHasItsOwnKind) {
  TrainOptions options = Options();
  options.memory_limit_bytes = int64_t{200} << 20;  // holds the model and little more
  options.image_size = 512;
  TrainingSession session(options, Alone());
  const std::vector<uint8_t> pixels(size_t{8} * 512 * 512 * 3);
  const std::vector<int32_t> labels(8, 0);
  ErrorOf(ErrorKind::kOutOfMemory, [&] { session.TrainStep(pixels.data(), labels.data(), 8, 8); });
}

TEST(TrainingSession, GpuThatIsNotThereIsAUserError) {
  TrainOptions options = Options();
  options.device = "cuda:99";
  const std::string error =
      ErrorOf(ErrorKind::kUserError, [&] { TrainingSession session(options, Alone()); });
  EXPECT_THAT(error, HasSubstr("device 'cuda:99' was asked for and this machine has"));
}

TEST(TrainingSession, LabelOutsideTheClassesIsNamed) {
  TrainingSession session(Options(), Alone());
  Pictures batch = MakePictures(2, 3, 1);
  batch.labels[1] = 3;
  const std::string error = ErrorOf(ErrorKind::kInternal, [&] {
    session.TrainStep(batch.pixels.data(), batch.labels.data(), 2, 2);
  });
  EXPECT_THAT(error, HasSubstr("label 3 at place 1"));
}

TEST(TrainingSession, ReportsLossCorrectCountAndLearningRate) {
  TrainingSession session(Options(), Alone());
  const Pictures batch = MakePictures(8, 3, 1);
  const StepResult result = session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8);
  EXPECT_GT(result.loss, 0);
  EXPECT_GE(result.correct, 0);
  EXPECT_LE(result.correct, 8);
  EXPECT_EQ(result.samples, 8);
  EXPECT_NEAR(result.learning_rate, 0.02 / 25, 1e-15);
  EXPECT_EQ(session.global_step(), 1);
  EXPECT_EQ(session.communicator().SumOverRanks(std::vector<int64_t>{4, 5}),
            (std::vector<int64_t>{4, 5}));
}

}  // namespace
}  // namespace mead::train
