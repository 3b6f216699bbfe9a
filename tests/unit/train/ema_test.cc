#include "worker/train/optim/ema.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/unit/train/optim_problem.h"

namespace mead::train {
namespace {

using ::testing::ElementsAre;

// A stand-in for an optimizer's step.
void MoveWeights(const Problem& problem, int step) {
  uint64_t seed = 1000 * static_cast<uint64_t>(step);
  for (const NamedTensor& parameter : problem.All()) {
    parameter.tensor.add_(RandomTensor(parameter.tensor.sizes(), seed++));
  }
}

std::vector<double> AllWeights(const Problem& problem) {
  std::vector<double> all;
  for (const NamedTensor& parameter : problem.All()) {
    const std::vector<double> values = Values(parameter.tensor);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

// The averages, without the count.
std::vector<double> Averages(const WeightAverage& average) {
  std::vector<double> all;
  for (const NamedTensor& item : average.state()) {
    if (!item.name.starts_with("ema.")) continue;
    const std::vector<double> values = Values(item.tensor);
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

TEST(WeightAverage, FollowsItsEquationFromTheFirstStepsToTheFullDecay) {
  const double decay = 0.5;  // reached at t = 8
  const Problem problem;
  WeightAverage average(problem.All(), decay);
  std::vector<double> expected = AllWeights(problem);
  for (int t = 0; t < 12; ++t) {
    MoveWeights(problem, t + 1);
    average.Update();
    const double d = std::min(decay, (1.0 + t) / (10.0 + t));
    const std::vector<double> weights = AllWeights(problem);
    for (size_t i = 0; i < expected.size(); ++i)
      expected[i] += (1 - d) * (weights[i] - expected[i]);
    ExpectNear(Averages(average), expected, "average after update " + std::to_string(t));
  }
}

TEST(WeightAverage, ScopeLendsTheModelTheAverageAndTakesItBack) {
  Problem problem;
  WeightAverage average(problem.All(), 0.9);
  MoveWeights(problem, 1);
  average.Update();
  const std::vector<double> weights = AllWeights(problem);
  const std::vector<double> averages = Averages(average);
  ASSERT_NE(weights, averages);
  const void* place = problem.body[0].tensor.const_data_ptr();
  {
    const WeightAverage::Scope scope(average);
    EXPECT_EQ(AllWeights(problem), averages);
    EXPECT_EQ(problem.body[0].tensor.const_data_ptr(), place) << "graphs hold the address";
  }
  EXPECT_EQ(AllWeights(problem), weights);
  EXPECT_EQ(Averages(average), averages);
}

TEST(WeightAverage, FoundInfLeavesAverageAndCountAlone) {
  const Problem problem;
  WeightAverage average(problem.All(), 0.9);
  MoveWeights(problem, 1);
  const std::vector<double> before = Averages(average);
  average.Update(at::ones({}));
  EXPECT_EQ(Averages(average), before);
  EXPECT_EQ(average.state().back().tensor.item<double>(), 0);
  average.Update(at::zeros({}));
  EXPECT_NE(Averages(average), before);
  EXPECT_EQ(average.state().back().tensor.item<double>(), 1);
}

TEST(WeightAverage, RestartTakesTheWeightsAsTheyAre) {
  const Problem problem;
  WeightAverage average(problem.All(), 0.9);
  average.Update();
  MoveWeights(problem, 1);
  average.Restart();
  EXPECT_EQ(Averages(average), AllWeights(problem));
  EXPECT_EQ(average.state().back().tensor.item<double>(), 0);
}

TEST(WeightAverage, StateIsNamedAfterTheParameters) {
  const Problem problem;
  const WeightAverage average(problem.All(), 0.9);
  std::vector<std::string> names;
  for (const NamedTensor& item : average.state()) names.push_back(item.name);
  EXPECT_THAT(names, ElementsAre("ema.conv.weight", "ema.bn.weight", "ema.fc.weight", "ema.fc.bias",
                                 "steps.ema"));
}

// As a model's parameters do: they require gradients, and averaging must not be recorded.
TEST(WeightAverage, IsNoPartOfTheGradient) {
  const Problem problem;
  for (const NamedTensor& parameter : problem.All()) parameter.tensor.set_requires_grad(true);
  WeightAverage average(problem.All(), 0.9);
  average.Update();
  { const WeightAverage::Scope scope(average); }
  for (const NamedTensor& item : average.state()) EXPECT_FALSE(item.tensor.requires_grad());
}

}  // namespace
}  // namespace mead::train
