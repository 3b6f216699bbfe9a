#include "worker/train/learner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "tests/unit/train/session_problem.h"

namespace mead::train {
namespace {

at::Tensor Named(const std::vector<NamedTensor>& tensors, const std::string& name) {
  const auto at = std::find_if(tensors.begin(), tensors.end(),
                               [&](const NamedTensor& tensor) { return tensor.name == name; });
  EXPECT_NE(at, tensors.end()) << name;
  return at == tensors.end() ? at::Tensor() : at->tensor;
}

TEST(Learner, StateHoldsModelOptimizerAndAverage) {
  TrainOptions options = Options();
  options.ema_decay = 0.9;
  Learner learner(options, at::kCPU);
  const TrainState state = learner.State();
  EXPECT_EQ(state.model.size(), learner.ModelTensors().size());
  Named(state.optimizer, "momentum.conv1.weight");
  Named(state.optimizer, "ema.conv1.weight");
}

TEST(Learner, StateToReadKeepsStatisticsThatForwardMovesAndSharesTheRest) {
  Learner learner(Options(), at::kCPU);
  const TrainState now = learner.State();
  const TrainState kept = learner.StateToRead();
  const at::Tensor mean = Named(now.model, "bn1.running_mean");
  mean.fill_(7);
  EXPECT_EQ(Named(kept.model, "bn1.running_mean")[0].item<float>(), 0);
  EXPECT_EQ(Named(kept.model, "conv1.weight").data_ptr(),
            Named(now.model, "conv1.weight").data_ptr());
}

TEST(Learner, AverageTakesTheWeightsPlacesUntilTheyAreUsedAgain) {
  TrainOptions options = Options();
  options.ema_decay = 0.9;
  Learner learner(options, at::kCPU);
  const at::Tensor weight = Named(learner.ModelTensors(), "fc.bias");
  const auto first = [&] { return weight[0].item<float>(); };
  const float averaged = first();
  {
    at::NoGradGuard no_grad;
    weight.add_(1);
  }
  learner.UseAverage();
  EXPECT_TRUE(learner.uses_average());
  EXPECT_EQ(first(), averaged);
  learner.UseWeights();
  EXPECT_FALSE(learner.uses_average());
  EXPECT_EQ(first(), averaged + 1);
}

TEST(Learner, WithAFrozenBodyOnlyTheClassifierLearns) {
  Learner learner(Options(), at::kCPU);
  Phase phase;
  EXPECT_EQ(learner.LearningIn(phase).size(), learner.model().parameters().size());
  phase.freeze_body = true;
  std::set<std::string> names;
  for (const size_t i : learner.LearningIn(phase)) {
    names.insert(learner.model().parameters()[i].name);
  }
  EXPECT_EQ(names, (std::set<std::string>{"fc.weight", "fc.bias"}));
}

}  // namespace
}  // namespace mead::train
