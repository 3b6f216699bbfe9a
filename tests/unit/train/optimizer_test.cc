// What every optimizer keeps to, whatever its rule.
#include "worker/train/optim/optimizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tests/unit/train/optim_problem.h"

namespace mead::train {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class EveryOptimizer : public ::testing::TestWithParam<OptimizerKind> {
 protected:
  Optimizer Make(const Problem& problem) const {
    return Optimizer({.kind = GetParam()}, problem.body, problem.head);
  }
  static void Run(Optimizer& optimizer, Problem& problem, int first, int last) {
    for (int step = first; step <= last; ++step) {
      problem.SetGradients(step);
      optimizer.SetRates(0.01, 0.1);
      optimizer.Step();
    }
  }
};
INSTANTIATE_TEST_SUITE_P(Kinds, EveryOptimizer,
                         ::testing::Values(OptimizerKind::kSgd, OptimizerKind::kAdamW,
                                           OptimizerKind::kLars, OptimizerKind::kLamb),
                         [](const auto& kind) { return std::string(OptimizerName(kind.param)); });

// Weights and state, by name.
std::map<std::string, std::vector<double>> Everything(const Problem& problem,
                                                      const Optimizer& optimizer) {
  std::map<std::string, std::vector<double>> all;
  for (const NamedTensor& item : problem.All()) all[item.name] = Values(item.tensor);
  for (const NamedTensor& item : optimizer.state()) all[item.name] = Values(item.tensor);
  return all;
}

TEST_P(EveryOptimizer, FoundInfLeavesWeightsAndStateAlone) {
  Problem problem;
  Optimizer optimizer = Make(problem);
  Run(optimizer, problem, 1, 2);
  const auto before = Everything(problem, optimizer);
  problem.SetGradients(3);
  for (const NamedTensor& parameter : problem.All()) {
    parameter.tensor.grad()[0].fill_(std::numeric_limits<float>::quiet_NaN());
    parameter.tensor.grad()[1].fill_(std::numeric_limits<float>::infinity());
  }
  optimizer.Step(at::ones({}));
  EXPECT_EQ(Everything(problem, optimizer), before);
}

TEST_P(EveryOptimizer, FoundInfOfZeroChangesNothing) {
  Problem with, without;
  Optimizer a = Make(with);
  Optimizer b = Make(without);
  for (int step = 1; step <= 3; ++step) {
    with.SetGradients(step);
    a.SetRates(0.01, 0.1);
    a.Step(at::zeros({}));
  }
  Run(b, without, 1, 3);
  EXPECT_EQ(Everything(with, a), Everything(without, b));
}

TEST_P(EveryOptimizer, ParametersWithoutAGradientKeepValueAndState) {
  Problem problem;
  Optimizer optimizer = Make(problem);
  Run(optimizer, problem, 1, 2);
  const auto before = Everything(problem, optimizer);
  problem.SetGradients(3);
  for (NamedTensor& parameter : problem.body) parameter.tensor.mutable_grad().reset();
  optimizer.Step();
  const auto after = Everything(problem, optimizer);
  for (const auto& [name, values] : before) {
    const bool head = name.find("fc.") != std::string::npos || name == "steps.head";
    EXPECT_EQ(after.at(name) == values, !head) << name;
  }
}

// What forward reads in bfloat16, of the weights as they are.
std::vector<NamedTensor> Copies(const std::vector<NamedTensor>& parameters) {
  std::vector<NamedTensor> copies;
  for (const NamedTensor& parameter : parameters) {
    copies.push_back({parameter.name, parameter.tensor.to(at::kBFloat16)});
  }
  return copies;
}

TEST_P(EveryOptimizer, CopiesFollowTheirParametersAndNothingElseDoes) {
  Problem problem;
  std::vector<NamedTensor> copies = Copies(problem.All());
  copies.erase(copies.begin() + 1);  // batch-norm's have none
  Optimizer with({.kind = GetParam()}, problem.body, problem.head, copies);
  Problem same;
  Optimizer without = Make(same);
  Run(with, problem, 1, 3);
  Run(without, same, 1, 3);
  EXPECT_EQ(Everything(problem, with), Everything(same, without));
  auto expect_copies = [&](const std::vector<NamedTensor>& expected) {
    for (const NamedTensor& copy : copies) {
      const auto of = std::ranges::find(expected, copy.name, &NamedTensor::name);
      EXPECT_TRUE(at::equal(copy.tensor, of->tensor)) << copy.name;
    }
  };
  expect_copies(Copies(problem.All()));

  // A step that is skipped, and one of the head alone.
  const std::vector<NamedTensor> before = Copies(problem.All());
  problem.SetGradients(4);
  problem.body[0].tensor.grad()[0].fill_(std::numeric_limits<float>::quiet_NaN());
  with.Step(at::ones({}));
  expect_copies(before);
  problem.SetGradients(4);
  for (NamedTensor& parameter : problem.body) parameter.tensor.mutable_grad().reset();
  with.Step();
  expect_copies(Copies(problem.All()));
}

TEST_P(EveryOptimizer, RateZeroKeepsTheWeights) {
  Problem problem;
  Optimizer optimizer = Make(problem);
  problem.SetGradients(1);
  const std::vector<double> body = Values(problem.body[0].tensor);
  const std::vector<double> head = Values(problem.head[0].tensor);
  optimizer.SetRates(0, 0.1);
  optimizer.Step();
  EXPECT_EQ(Values(problem.body[0].tensor), body);
  EXPECT_NE(Values(problem.head[0].tensor), head);
}

TEST_P(EveryOptimizer, GoesOnFromItsSavedState) {
  Problem whole, resumed;
  Optimizer first = Make(whole);
  Run(first, whole, 1, 3);
  Optimizer second = Make(resumed);
  for (size_t i = 0; i < whole.All().size(); ++i) {
    resumed.All()[i].tensor.copy_(whole.All()[i].tensor);
  }
  ASSERT_EQ(first.state().size(), second.state().size());
  for (size_t i = 0; i < first.state().size(); ++i) {
    EXPECT_EQ(first.state()[i].name, second.state()[i].name);
    second.state()[i].tensor.copy_(first.state()[i].tensor);
  }
  Run(first, whole, 4, 6);
  Run(second, resumed, 4, 6);
  EXPECT_EQ(Everything(resumed, second), Everything(whole, first));
}

TEST_P(EveryOptimizer, GradientsAreThoseThatThereAre) {
  Problem problem;
  Optimizer optimizer = Make(problem);
  EXPECT_THAT(optimizer.Gradients(), IsEmpty());
  problem.SetGradients(1);
  EXPECT_THAT(optimizer.Gradients(), SizeIs(4));
  problem.body[0].tensor.mutable_grad().reset();
  EXPECT_THAT(optimizer.Gradients(), SizeIs(3));
  optimizer.ClearGradients();
  EXPECT_THAT(optimizer.Gradients(), IsEmpty());
}

std::vector<std::string> StateNames(const OptimizerOptions& options) {
  const Problem problem;
  const Optimizer optimizer(options, problem.body, problem.head);
  std::vector<std::string> names;
  for (const NamedTensor& item : optimizer.state()) names.push_back(item.name);
  return names;
}

TEST(OptimizerState, IsNamedAfterItsParameters) {
  const auto momentum = ElementsAre("momentum.conv.weight", "momentum.bn.weight",
                                    "momentum.fc.weight", "momentum.fc.bias");
  EXPECT_THAT(StateNames({.kind = OptimizerKind::kSgd}), momentum);
  EXPECT_THAT(StateNames({.kind = OptimizerKind::kLars}), momentum);
  EXPECT_THAT(StateNames({.kind = OptimizerKind::kSgd, .momentum = 0}), IsEmpty());
  EXPECT_THAT(
      StateNames({.kind = OptimizerKind::kAdamW}),
      ElementsAre("exp_avg.conv.weight", "exp_avg_sq.conv.weight", "exp_avg.bn.weight",
                  "exp_avg_sq.bn.weight", "steps.body", "exp_avg.fc.weight", "exp_avg_sq.fc.weight",
                  "exp_avg.fc.bias", "exp_avg_sq.fc.bias", "steps.head"));
  EXPECT_THAT(StateNames({.kind = OptimizerKind::kLamb}), Contains("steps.head"));
}

}  // namespace
}  // namespace mead::train
