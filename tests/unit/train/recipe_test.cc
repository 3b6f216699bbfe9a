// A session's phases by stage and by size, the views of evaluation, and the older stride.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>
#include <memory>
#include <vector>

#include "tests/support/temp_dir.h"
#include "tests/unit/train/session_problem.h"
#include "worker/train/session.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

// Without momentum one step moves a weight by its rate times its gradient.
TrainOptions Plain() {
  TrainOptions options = Options();
  options.schedule = ScheduleKind::kConstant;
  options.optimizer = {.lr = 0.02, .weight_decay = 0, .momentum = 0, .nesterov = false};
  return options;
}

// By how much one step moves each parameter.
std::map<std::string, std::vector<double>> Moves(const TrainOptions& options) {
  const testing::TempDir dir;
  TrainingSession session(options, Alone());
  session.SaveCheckpoint(dir.Join("0"), 0);
  TrainEpoch(session, 1, 1);
  session.SaveCheckpoint(dir.Join("1"), 1);
  const auto before = Tensors(dir.Join("0"));
  const auto after = Tensors(dir.Join("1"));
  std::map<std::string, std::vector<double>> moves;
  for (const auto& [name, bytes] : before) {
    if (!name.ends_with(".weight") && !name.ends_with(".bias")) continue;
    for (size_t at = 0; at < bytes.size(); at += sizeof(float)) {
      float x = 0, y = 0;
      std::memcpy(&x, bytes.data() + at, sizeof x);
      std::memcpy(&y, after.at(name).data() + at, sizeof y);
      moves[name].push_back(static_cast<double>(y) - x);
    }
  }
  return moves;
}

double Largest(const std::vector<double>& values) {
  double largest = 0;
  for (const double value : values) largest = std::max(largest, std::fabs(value));
  return largest;
}

void ExpectScaled(const std::vector<double>& moves, const std::vector<double>& whole, double factor,
                  const std::string& name) {
  ASSERT_EQ(moves.size(), whole.size());
  const double largest = Largest(whole);
  for (size_t i = 0; i < moves.size(); ++i) {
    ASSERT_NEAR(moves[i], factor * whole[i], 1e-6 + 1e-3 * largest) << name << ' ' << i;
  }
  EXPECT_GT(largest, 1e-5) << name;
}

TEST(Stages, FrozenOnesStayTheOthersMoveAsIfNoneWereAndEachHasItsRate) {
  auto free = Moves(Plain());
  TrainOptions options = Plain();
  options.phases = {{.epochs = 3, .frozen_stages = 2}};
  auto frozen = Moves(options);
  for (const char* name : {"conv1.weight", "bn1.weight", "layer1.0.conv1.weight",
                           "layer2.0.downsample.0.weight", "layer2.1.bn2.bias"}) {
    EXPECT_EQ(Largest(frozen[name]), 0) << name;
    EXPECT_GT(Largest(free[name]), 1e-5) << name;
  }
  for (const char* name : {"layer3.0.conv1.weight", "layer3.0.downsample.0.weight",
                           "layer4.1.bn2.bias", "fc.weight"}) {
    ExpectScaled(frozen[name], free[name], 1, name);
  }

  options.phases = {{.epochs = 3, .head_lr_scale = 4, .stage_lr_scales = {0, 0.25, 0.5, 2}}};
  auto paced = Moves(options);
  const std::pair<const char*, double> expected[] = {
      {"conv1.weight", 0},          {"layer1.0.conv1.weight", 0}, {"layer2.0.conv1.weight", 0.25},
      {"layer3.0.bn1.weight", 0.5}, {"layer4.0.conv2.weight", 2}, {"fc.weight", 4}};
  for (const auto& [name, factor] : expected) ExpectScaled(paced[name], free[name], factor, name);
}

// AdamW counts its steps group by group, and a frozen one's stand still.
TEST(Stages, GoOnWithTheSameLossBits) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.optimizer = OptimizerDefaults(OptimizerKind::kAdamW);
  options.phases = {{.epochs = 1, .frozen_stages = 3},
                    {.epochs = 2, .frozen_stages = 1, .stage_lr_scales = {0.1, 0.2, 0.3, 0.5}}};
  TrainingSession whole(options, Alone());
  TrainEpoch(whole, 1);
  TrainEpoch(whole, 2);
  whole.SaveCheckpoint(dir.Join("middle"), 2);
  EXPECT_TRUE(Tensors(dir.Join("middle")).contains("optimizer.steps.layer2"));
  TrainingSession resumed(options, Alone());
  resumed.Resume(dir.Join("middle"));
  EXPECT_EQ(TrainEpoch(resumed, 3), TrainEpoch(whole, 3));
}

// As a trial's was whose body was frozen, before its stages counted their steps apart.
TEST(Stages, GoOnFromACheckpointOfAWholeBody) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.optimizer = OptimizerDefaults(OptimizerKind::kAdamW);
  options.phases = {{.epochs = 2}, {.epochs = 1}};
  TrainingSession whole(options, Alone());
  TrainEpoch(whole, 1);
  whole.SaveCheckpoint(dir.Join("body"), 1);
  EXPECT_TRUE(Tensors(dir.Join("body")).contains("optimizer.steps.body"));
  options.phases[1].freeze_body = true;
  TrainingSession staged(options, Alone());
  staged.Resume(dir.Join("body"));
  EXPECT_EQ(TrainEpoch(staged, 2), TrainEpoch(whole, 2));
  staged.SaveCheckpoint(dir.Join("stages"), 2);
  EXPECT_TRUE(Tensors(dir.Join("stages")).contains("optimizer.steps.layer4"));
}

TEST(Sizes, FollowThePhaseInTrainingAndEvaluationAndAfterARestart) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.phases = {{.epochs = 1}, {.epochs = 2, .image_size = 48}};
  TrainingSession whole(options, Alone());
  EXPECT_EQ(whole.image_size(), kSide);
  TrainEpoch(whole, 1);
  whole.SaveCheckpoint(dir.Join("1"), 1);
  TrainingSession resumed(options, Alone());
  resumed.Resume(dir.Join("1"));
  EXPECT_EQ(resumed.image_size(), 48);
  const Pictures large = MakePictures(8, 3, 5, /*side=*/48);
  std::vector<double> losses;
  for (TrainingSession* session : {&whole, &resumed}) {
    session->StartEpoch(2);
    EXPECT_EQ(session->image_size(), 48);
    for (int step = 0; step < 2; ++step) {
      losses.push_back(session->TrainStep(large.pixels.data(), large.labels.data(), 8, 8).loss);
    }
    session->StartEvaluation();
    losses.push_back(session->EvalStep(large.pixels.data(), large.labels.data(), 8).loss_sum);
  }
  EXPECT_EQ(std::vector<double>(losses.begin(), losses.begin() + 3),
            std::vector<double>(losses.begin() + 3, losses.end()));
  // The same session with pictures of the trial's size throughout sees other ones.
  TrainOptions small = Options();
  small.phases = {{.epochs = 1}, {.epochs = 2}};
  TrainingSession other(small, Alone());
  other.Resume(dir.Join("1"));
  other.StartEpoch(2);
  EXPECT_NE(other.TrainStep(large.pixels.data(), large.labels.data(), 8, 8).loss, losses[0]);
}

TEST(Sizes, TheLargestMustFitIntoMemory) {
  TrainOptions options = Options();
  options.memory_limit_bytes = int64_t{300} << 20;  // holds a step of small pictures
  EXPECT_EQ(TrainingSession(options, Alone()).FitMemory(), 0);
  options.phases = {{.epochs = 1}, {.epochs = 2, .image_size = 384}};
  const int piece = TrainingSession(options, Alone()).FitMemory();
  EXPECT_GT(piece, 0);
  EXPECT_LT(piece, 8);
}

// A frozen body keeps nothing for backward; what comes after it must fit as well.
TEST(Sizes, WhatLearnsLaterMustFitToo) {
  TrainOptions options = Options();
  options.image_size = 384;
  options.memory_limit_bytes = int64_t{300} << 20;
  options.epochs = 2;
  options.phases = {{.epochs = 2, .freeze_body = true}};
  const testing::TempDir dir;
  TrainingSession frozen(options, Alone());
  EXPECT_EQ(frozen.FitMemory(), 0);
  options.phases = {{.epochs = 1, .freeze_body = true}, {.epochs = 1}};
  TrainingSession session(options, Alone());
  EXPECT_GT(session.FitMemory(), 0);
  // Trying has left the first phase as it was.
  const Pictures large = MakePictures(8, 3, 1, /*side=*/384);
  session.SaveCheckpoint(dir.Join("0"), 0);
  session.TrainStep(large.pixels.data(), large.labels.data(), 8, 8);
  session.SaveCheckpoint(dir.Join("1"), 1);
  const std::set<std::string> changed = Changed(dir.Join("0"), dir.Join("1"));
  EXPECT_TRUE(changed.contains("fc.weight"));
  EXPECT_FALSE(changed.contains("conv1.weight"));
}

// The probability of a picture's label, from a session's loss of that picture alone.
double Probability(TrainingSession& session, const std::vector<uint8_t>& pixels, int32_t label) {
  return std::exp(-session.EvalStep(pixels.data(), &label, 1).loss_sum);
}

std::vector<uint8_t> Flipped(const std::vector<uint8_t>& pixels, bool x_too, bool y_too) {
  std::vector<uint8_t> out(pixels.size());
  for (size_t y = 0; y < kSide; ++y) {
    for (size_t x = 0; x < kSide; ++x) {
      const size_t from_x = x_too ? kSide - 1 - x : x;
      const size_t from_y = y_too ? kSide - 1 - y : y;
      for (size_t c = 0; c < 3; ++c) {
        out[(y * kSide + x) * 3 + c] = pixels[(from_y * kSide + from_x) * 3 + c];
      }
    }
  }
  return out;
}

TEST(Views, GiveTheMeanOfTheirProbabilities) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  TrainingSession trained(options, Alone());
  for (const int epoch : {1, 2, 3}) TrainEpoch(trained, epoch);
  trained.SaveCheckpoint(dir.Join("3"), 3);
  // A small classifier, so that the softmax is left some doubt.
  const std::vector<char> bytes = Tensors(dir.Join("3")).at("fc.weight");
  std::vector<float> small(bytes.size() / sizeof(float));
  std::memcpy(small.data(), bytes.data(), bytes.size());
  for (float& weight : small) weight *= 0.02F;
  WriteSafetensors(dir.Join("small"),
                   {{.name = "fc.weight", .shape = {3, 512}, .data = small.data()}}, {});
  auto session = [&](Views views) {
    options.evaluation_views = views;
    auto made = std::make_unique<TrainingSession>(options, Alone());
    made->Resume(dir.Join("3"));
    made->LoadWeights(dir.Join("small"));
    made->StartEvaluation();
    return made;
  };
  const auto one = session(Views::kOne);
  const auto two = session(Views::kFlip);
  const auto four = session(Views::kFlips);
  double apart = 0;
  for (uint64_t seed = 1; seed <= 4; ++seed) {
    Pictures picture = MakePictures(1, 3, seed);
    for (size_t y = 0; y < 20; ++y) {
      for (size_t x = 0; x < 12; ++x) picture.pixels[(y * kSide + x) * 3 + seed % 3] = 255;
    }
    const int32_t label = picture.labels[0];
    const double plain = Probability(*one, picture.pixels, label);
    const double mirrored = Probability(*one, Flipped(picture.pixels, true, false), label);
    const double both = (plain + mirrored) / 2;
    const double upside_down = (Probability(*one, Flipped(picture.pixels, false, true), label) +
                                Probability(*one, Flipped(picture.pixels, true, true), label)) /
                               2;
    EXPECT_NEAR(Probability(*two, picture.pixels, label), both, 1e-5);
    EXPECT_NEAR(Probability(*four, picture.pixels, label), (both + upside_down) / 2, 1e-5);
    apart = std::max(apart, std::fabs(plain - mirrored));
  }
  EXPECT_GT(apart, 1e-4) << "the comparison says nothing: the views look alike";
}

TEST(Stride, OfTheFirstVersionIsItsCheckpointsToo) {
  const testing::TempDir dir;
  TrainOptions options = Options();
  options.model = "resnet50";
  TrainingSession(options, Alone()).SaveCheckpoint(dir.Join("v1.5"), 1);
  options.stride_in_first = true;
  TrainingSession session(options, Alone());
  const std::string error =
      ErrorOf(ErrorKind::kUserError, [&] { session.Resume(dir.Join("v1.5")); });
  EXPECT_THAT(error, HasSubstr("'stride' is missing"));
}

}  // namespace
}  // namespace mead::train
