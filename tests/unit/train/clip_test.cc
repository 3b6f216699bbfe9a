#include "worker/train/optim/clip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/unit/train/optim_problem.h"

namespace mead::train {
namespace {

std::vector<at::Tensor> Gradients() {
  return {RandomTensor({4, 3, 3, 3}, 1), RandomTensor({3, 4}, 2), RandomTensor({3}, 3)};
}

double NormOf(const std::vector<at::Tensor>& gradients) {
  std::vector<double> all;
  for (const at::Tensor& gradient : gradients) {
    const std::vector<double> values = Values(gradient);
    all.insert(all.end(), values.begin(), values.end());
  }
  return Norm(all);
}

TEST(ClipGradNorm, ALongGradientIsShortenedAndKeepsItsDirection) {
  const std::vector<at::Tensor> gradients = Gradients();
  const double norm = NormOf(gradients);
  ASSERT_GT(norm, 2);
  const at::Tensor reported = ClipGradNorm(gradients, 0.5);
  EXPECT_EQ(reported.dim(), 0);
  EXPECT_NEAR(reported.item<double>(), norm, 1e-5);
  const std::vector<at::Tensor> before = Gradients();
  for (size_t i = 0; i < gradients.size(); ++i) {
    std::vector<double> expected = Values(before[i]);
    for (double& value : expected) value *= 0.5 / (norm + 1e-6);
    ExpectNear(Values(gradients[i]), expected, "gradient");
  }
}

TEST(ClipGradNorm, AShortGradientKeepsItsBits) {
  const std::vector<at::Tensor> gradients = Gradients();
  ClipGradNorm(gradients, 100);
  const std::vector<at::Tensor> before = Gradients();
  for (size_t i = 0; i < gradients.size(); ++i) EXPECT_TRUE(gradients[i].equal(before[i]));
}

TEST(ClipGradNorm, AGradientOfZerosStaysSo) {
  const std::vector<at::Tensor> gradients = {at::zeros({3, 4}), at::zeros({3})};
  EXPECT_EQ(ClipGradNorm(gradients, 1).item<double>(), 0);
  EXPECT_EQ(NormOf(gradients), 0);
}

TEST(ClipGradNorm, TheNormTellsOfAGradientThatIsNotFinite) {
  const std::vector<at::Tensor> gradients = Gradients();
  gradients[1].view(-1)[0] = std::numeric_limits<float>::infinity();
  EXPECT_FALSE(std::isfinite(ClipGradNorm(gradients, 1).item<double>()));
}

}  // namespace
}  // namespace mead::train
