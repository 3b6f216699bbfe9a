// One step of a session: its pieces, its clipping and averaging, its failures and edges.
#include "worker/train/step.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/unit/train/session_problem.h"
#include "worker/train/memory/cpu_pool.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<float> Floats(const std::vector<char>& bytes) {
  std::vector<float> floats(bytes.size() / sizeof(float));
  std::memcpy(floats.data(), bytes.data(), floats.size() * sizeof(float));
  return floats;
}

// Of two checkpoints' learned parameters.
double LargestDifference(const std::string& a, const std::string& b) {
  const auto first = Tensors(a);
  const auto second = Tensors(b);
  double largest = 0;
  for (const auto& [name, bytes] : first) {
    if (!name.ends_with(".weight") && !name.ends_with(".bias")) continue;
    const std::vector<float> x = Floats(bytes);
    const std::vector<float> y = Floats(second.at(name));
    for (size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(x[i]) - y[i]));
    }
  }
  return largest;
}

TEST(Pieces, StepInPiecesOfThreeEqualsTheWholeStepWithFrozenBatchNorm) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.freeze_batch_norm = true;
  options.optimizer.lr = 0.005;
  TrainingSession whole(options, Alone());
  const std::vector<double> expected = TrainEpoch(whole, 1);
  whole.SaveCheckpoint(dir.Join("whole"), 1);
  options.micro_batch = 3;
  TrainingSession pieces(options, Alone());
  EXPECT_EQ(pieces.FitMemory(), 3);
  const std::vector<double> losses = TrainEpoch(pieces, 1);
  pieces.SaveCheckpoint(dir.Join("pieces"), 1);
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-5);
  EXPECT_LT(LargestDifference(dir.Join("whole"), dir.Join("pieces")), 1e-5);
  EXPECT_GT(LargestDifference(dir.Join("whole"), dir.Join("pieces")), 0);
}

TEST(Pieces, WholeBatchThatFitsIsNotDivided) {
  TrainOptions options = Options();
  EXPECT_EQ(TrainingSession(options, Alone()).FitMemory(), 0);
  options.micro_batch = 8;
  EXPECT_EQ(TrainingSession(options, Alone()).FitMemory(), 0);
}

// Bytes of large tensors that a session of these options needs in all, and of those
// what is there before the first picture.
struct MemoryNeed {
  int64_t session = 0;
  int64_t step = 0;
};

MemoryNeed NeedOf(const TrainOptions& options) {
  TrainingSession session(options, Alone());
  MemoryNeed need{.session = CpuPoolUsage().in_use_bytes};
  ResetCpuPoolPeak();
  session.FitMemory();
  need.step = CpuPoolUsage().peak_bytes;
  return need;
}

TEST(Pieces, BatchThatDoesNotFitIsDividedAndTheGradientIsThatOfAll) {
  constexpr int kLargeSide = 160;
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.freeze_batch_norm = true;
  options.image_size = kLargeSide;
  options.optimizer.lr = 0.005;
  const MemoryNeed need = NeedOf(options);
  auto train = [&](TrainingSession& session, const std::string& name) {
    std::vector<double> losses;
    for (uint64_t step = 0; step < 3; ++step) {
      const Pictures batch = MakePictures(8, 3, step, kLargeSide);
      losses.push_back(session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8).loss);
      if (step == 0) session.SaveCheckpoint(dir.Join(name), 1);
    }
    // More than a piece at once: evaluation fits as well.
    session.StartEvaluation();
    const Pictures test = MakePictures(16, 3, 7, kLargeSide);
    losses.push_back(session.EvalStep(test.pixels.data(), test.labels.data(), 16).loss_sum / 16);
    session.EndEvaluation();
    session.SaveCheckpoint(dir.Join(name + "-last"), 1);
    return losses;
  };
  std::vector<double> expected;
  {
    TrainingSession session(options, Alone());
    expected = train(session, "whole");
  }
  options.memory_limit_bytes = need.session + (need.step - need.session) * 2 / 3;
  std::vector<double> losses;
  {
    TrainingSession session(options, Alone());
    const int piece = session.FitMemory();
    EXPECT_GE(piece, 1);
    EXPECT_LT(piece, 8);
    losses = train(session, "pieces");
  }
  // One step from the same weights, and the loss that it leads to, are the same. A gradient is
  // not continuous, though: in noise, weights that differ by 1e-6 after a step let other pixels
  // win in the pooling, or pass the ReLU, and one such turn moves a weight by 1e-3. (LibTorch's
  // own pooling does the same.) What follows is therefore alike, no more.
  for (size_t i = 0; i < 2; ++i) EXPECT_NEAR(losses[i], expected[i], 1e-5);
  EXPECT_LT(LargestDifference(dir.Join("whole"), dir.Join("pieces")), 1e-5);
  for (size_t i = 2; i < losses.size(); ++i) {
    EXPECT_NEAR(losses[i], expected[i], 0.01 * expected[i]) << i;
  }
}

TEST(Pieces, PictureThatDoesNotFitAloneIsOutOfMemoryInWords) {
  TrainOptions options = Options();
  options.image_size = 512;
  options.batch_size = 1;
  const MemoryNeed need = NeedOf(options);
  options.batch_size = 8;
  options.memory_limit_bytes = (need.session + need.step) / 2;
  TrainingSession session(options, Alone());
  const std::string error = ErrorOf(ErrorKind::kOutOfMemory, [&] { session.FitMemory(); });
  EXPECT_THAT(error, HasSubstr("not even one picture goes into memory at 512 x 512"));
  EXPECT_THAT(error, HasSubstr("resnet18"));
}

TEST(Pieces, VirtualRanksThatDoNotFitAreOutOfMemoryInWords) {
  TrainOptions options = Options();
  options.image_size = 256;
  const MemoryNeed need = NeedOf(options);
  options.virtual_ranks = 1;
  options.memory_limit_bytes = (need.session + need.step) / 2;
  TrainingSession session(options, Alone());
  const std::string error = ErrorOf(ErrorKind::kOutOfMemory, [&] { session.FitMemory(); });
  EXPECT_THAT(error, HasSubstr("more virtual_ranks"));
}

TEST(VirtualRanks, EvaluationTakesMoreThanABatch) {
  TrainOptions options = Options();
  options.batch_size = 10;
  const Pictures test = MakePictures(27, 3, 7);
  TrainingSession plain(options, Alone());
  options.virtual_ranks = 4;  // 3 pictures each at most: 12 in all
  TrainingSession session(options, Alone());
  const EvalResult result = session.EvalStep(test.pixels.data(), test.labels.data(), 27);
  const EvalResult expected = plain.EvalStep(test.pixels.data(), test.labels.data(), 27);
  EXPECT_EQ(result.predicted, expected.predicted);
  EXPECT_NEAR(result.loss_sum, expected.loss_sum, 1e-4);
}

TEST(VirtualRanks, GiveThePiecesSoThatNoOthersMayBeAskedFor) {
  TrainOptions options = Options();
  options.virtual_ranks = 4;
  options.micro_batch = 2;
  const std::string error =
      ErrorOf(ErrorKind::kUserError, [&] { TrainingSession session(options, Alone()); });
  EXPECT_THAT(error, HasSubstr("micro_batch"));
}

// One SGD step without momentum moves weights by rate times gradient.
TEST(Clipping, ShortensTheStepOfAllWeightsAlike) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.schedule = ScheduleKind::kConstant;
  options.optimizer = {.lr = 0.5, .weight_decay = 0, .momentum = 0, .nesterov = false};
  auto step = [&](const std::string& name) {
    TrainingSession session(options, Alone());
    session.SaveCheckpoint(dir.Join("before"), 0);
    TrainEpoch(session, 1, 1);
    session.SaveCheckpoint(dir.Join(name), 1);
  };
  step("free");
  const auto before = Tensors(dir.Join("before"));
  const auto free = Tensors(dir.Join("free"));
  double squares = 0;
  for (const auto& [name, bytes] : before) {
    if (!name.ends_with(".weight") && !name.ends_with(".bias")) continue;
    const std::vector<float> x = Floats(bytes);
    const std::vector<float> y = Floats(free.at(name));
    for (size_t i = 0; i < x.size(); ++i) {
      squares += std::pow((static_cast<double>(x[i]) - y[i]) / options.optimizer.lr, 2);
    }
  }
  const double norm = std::sqrt(squares);
  options.clip_grad_norm = norm / 3;
  step("clipped");
  const auto clipped = Tensors(dir.Join("clipped"));
  double largest_move = 0;
  for (const auto& [name, bytes] : before) {
    if (!name.ends_with(".weight") && !name.ends_with(".bias")) continue;
    const std::vector<float> x = Floats(bytes);
    const std::vector<float> y = Floats(free.at(name));
    const std::vector<float> z = Floats(clipped.at(name));
    for (size_t i = 0; i < x.size(); ++i) {
      const double free_move = static_cast<double>(y[i]) - x[i];
      const double expected = free_move * options.clip_grad_norm / (norm + 1e-6);
      largest_move = std::max(largest_move, std::fabs(free_move));
      ASSERT_NEAR(static_cast<double>(z[i]) - x[i], expected, 2e-5 * std::fabs(expected) + 3e-7)
          << name << " at " << i;
    }
  }
  EXPECT_GT(largest_move, 1e-2);
  options.clip_grad_norm = norm * 2;
  step("long enough");
  EXPECT_LT(LargestDifference(dir.Join("free"), dir.Join("long enough")), 1e-7);
}

// tests/interop compares weighted steps with PyTorch's; here what a weight of 0 and a
// factor on all of them mean.
TEST(ClassWeights, ScaleTheLossOfTheirClassAlone) {
  TrainOptions options = Options();
  options.freeze_batch_norm = true;
  Pictures batch = MakePictures(8, 3, 1);
  batch.labels = {0, 1, 2, 0, 1, 2, 0, 1};
  auto loss = [&](const std::vector<double>& weights) {
    options.class_weights = weights;
    TrainingSession session(options, Alone());
    return session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8).loss;
  };
  const double all = loss({});
  EXPECT_NEAR(loss({1, 1, 1}), all, 1e-6);
  EXPECT_NEAR(loss({2, 2, 2}), 2 * all, 1e-5);
  const std::vector<double> alone = {loss({1, 0, 0}), loss({0, 1, 0}), loss({0, 0, 1})};
  EXPECT_NEAR(alone[0] + alone[1] + alone[2], all, 1e-5);
  EXPECT_NEAR(loss({0.5, 2, 3}), 0.5 * alone[0] + 2 * alone[1] + 3 * alone[2], 1e-5);
  for (const double part : alone) EXPECT_GT(part, 0.01);
}

TEST(ClassWeights, AreOnePerClass) {
  TrainOptions options = Options();
  options.class_weights = {1, 1};
  const std::string error =
      ErrorOf(ErrorKind::kUserError, [&] { TrainingSession session(options, Alone()); });
  EXPECT_THAT(error, HasSubstr("class_weights are 2 for 3 classes"));
}

TEST(Average, IsWhatEvaluationSeesWhileTrainingGoesOnWithTheWeights) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  TrainingSession plain(options, Alone());
  std::vector<double> expected = TrainEpoch(plain, 1);
  plain.SaveCheckpoint(dir.Join("plain"), 1);
  const std::vector<double> second = TrainEpoch(plain, 2);

  options.ema_decay = 0.9;
  TrainingSession averaging(options, Alone());
  EXPECT_EQ(TrainEpoch(averaging, 1), expected);
  averaging.StartEvaluation();
  const Pictures test = MakePictures(20, 3, 999);
  const EvalResult of_average = averaging.EvalStep(test.pixels.data(), test.labels.data(), 20);
  averaging.EndEvaluation();
  const EvalResult of_weights = averaging.EvalStep(test.pixels.data(), test.labels.data(), 20);
  EXPECT_NE(of_average.loss_sum, of_weights.loss_sum);
  averaging.SaveCheckpoint(dir.Join("averaging"), 1);
  EXPECT_THAT(Changed(dir.Join("plain"), dir.Join("averaging")), IsEmpty());

  // The average as weights of a session of its own.
  const auto saved = Tensors(dir.Join("averaging"));
  const SafetensorsFile file = SafetensorsFile::Open(dir.Join("averaging"));
  const std::string prefix = "optimizer.ema.";
  std::vector<TensorData> tensors;
  for (const auto& [name, info] : file.tensors()) {
    const bool average = name.starts_with(prefix);
    if (!average && (name.starts_with("optimizer.") || saved.contains(prefix + name))) continue;
    tensors.push_back({.name = average ? name.substr(prefix.size()) : name,
                       .dtype = info.dtype,
                       .shape = info.shape,
                       .data = saved.at(name).data()});
  }
  WriteSafetensors(dir.Join("average"), tensors, {});
  TrainingSession of_file(Options(), Alone());
  EXPECT_THAT(of_file.LoadWeights(dir.Join("average")).missing, IsEmpty());
  EXPECT_EQ(of_file.EvalStep(test.pixels.data(), test.labels.data(), 20).loss_sum,
            of_average.loss_sum);

  EXPECT_EQ(TrainEpoch(averaging, 2), second);
}

TEST(Average, NextStepEndsAnEvaluation) {
  TrainOptions options = Options();
  TrainingSession plain(options, Alone());
  TrainEpoch(plain, 1);
  const std::vector<double> expected = TrainEpoch(plain, 2);
  options.ema_decay = 0.9;
  TrainingSession averaging(options, Alone());
  TrainEpoch(averaging, 1);
  averaging.StartEvaluation();
  EXPECT_EQ(TrainEpoch(averaging, 2), expected);
}

TEST(Average, ResumeWithClippingInBfloat16GoesOnWithTheSameBits) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.ema_decay = 0.9;
  options.clip_grad_norm = 0.5;
  options.precision = Precision::kBf16;
  TrainingSession whole(options, Alone());
  TrainEpoch(whole, 1);
  whole.StartEvaluation();
  whole.SaveCheckpoint(dir.Join("middle"), 1);
  const std::vector<double> expected = TrainEpoch(whole, 2);
  whole.SaveCheckpoint(dir.Join("whole"), 2);
  TrainingSession resumed(options, Alone());
  resumed.Resume(dir.Join("middle"));
  EXPECT_EQ(TrainEpoch(resumed, 2), expected);
  resumed.SaveCheckpoint(dir.Join("resumed"), 2);
  EXPECT_EQ(Tensors(dir.Join("resumed")), Tensors(dir.Join("whole")));
  // An average that nobody keeps would be lost in silence.
  options.ema_decay = 0;
  TrainingSession without(options, Alone());
  EXPECT_THROW(without.Resume(dir.Join("middle")), TrainError);
}

TEST(Divergence, LastsUntilACheckpointIsResumed) {
  const testing::TempDir dir;
  TrainingSession session(Options(), Alone());
  TrainEpoch(session, 1);
  session.SaveCheckpoint(dir.Join("good"), 1);
  const std::vector<double> expected = TrainEpoch(session, 2);
  const float infinity = std::numeric_limits<float>::infinity();
  const std::vector<float> bias = {infinity, 0, 0};
  WriteSafetensors(dir.Join("bad"), {{.name = "fc.bias", .shape = {3}, .data = bias.data()}}, {});
  session.LoadWeights(dir.Join("bad"));
  EXPECT_THROW(TrainEpoch(session, 3), TrainError);
  EXPECT_THAT(session.FinishedSteps(/*wait=*/true), IsEmpty());
  EXPECT_THROW(TrainEpoch(session, 3), TrainError);
  session.Resume(dir.Join("good"));
  EXPECT_EQ(session.global_step(), 4);
  EXPECT_EQ(TrainEpoch(session, 2), expected);
}

TEST(Edges, BatchOfOnePictureLearns) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.batch_size = 1;
  for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
    options.precision = precision;
    TrainingSession session(options, Alone());
    for (uint64_t step = 0; step < 3; ++step) {
      const Pictures batch = MakePictures(1, 3, step);
      const StepResult result = session.TrainStep(batch.pixels.data(), batch.labels.data(), 1, 1);
      EXPECT_TRUE(std::isfinite(result.loss));
    }
    session.SaveCheckpoint(dir.Join("c"), 1);
    for (const auto& [name, bytes] : Tensors(dir.Join("c"))) {
      if (name.ends_with("num_batches_tracked")) continue;
      for (const float value : Floats(bytes)) ASSERT_TRUE(std::isfinite(value)) << name;
    }
  }
}

TEST(Edges, LastBatchMayBeShort) {
  TrainingSession session(Options(), Alone());
  for (const int n : {8, 3, 8, 1}) {
    const Pictures batch = MakePictures(n, 3, 5);
    const StepResult result = session.TrainStep(batch.pixels.data(), batch.labels.data(), n, n);
    EXPECT_TRUE(std::isfinite(result.loss));
    EXPECT_EQ(result.samples, n);
  }
}

TEST(Edges, SidesThatTheNetworkDoesNotDivide) {
  for (const int side : {33, 50, 97}) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      TrainOptions options = Options();
      options.image_size = side;
      options.precision = precision;
      TrainingSession session(options, Alone());
      const Pictures batch = MakePictures(8, 3, 1, side);
      double first = 0;
      double last = 0;
      for (int step = 0; step < 8; ++step) {
        last = session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8).loss;
        if (step == 0) first = last;
      }
      EXPECT_LT(last, first) << side;
    }
  }
}

TEST(Edges, TwoClassesAndAThousand) {
  for (const int classes : {2, 1000}) {
    for (const Precision precision : {Precision::kFp32, Precision::kBf16}) {
      TrainOptions options = Options();
      options.num_classes = classes;
      options.precision = precision;
      TrainingSession session(options, Alone());
      const Pictures batch = MakePictures(8, classes, 1);
      const StepResult result = session.TrainStep(batch.pixels.data(), batch.labels.data(), 8, 8);
      // Nothing is learned yet: about the logarithm of the number of classes.
      EXPECT_NEAR(result.loss, std::log(classes), 1.0) << classes;
      const EvalResult seen = session.EvalStep(batch.pixels.data(), batch.labels.data(), 8);
      for (const int32_t predicted : seen.predicted) EXPECT_LT(predicted, classes);
    }
  }
}

}  // namespace
}  // namespace mead::train
