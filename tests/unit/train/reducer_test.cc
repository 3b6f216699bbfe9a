// What one rank's reducer makes of its gradients. Sums over ranks: gang_test.cc.
#include "worker/train/comm/reducer.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <memory>
#include <vector>

namespace mead::train {
namespace {

constexpr int64_t kFigures = 3;
constexpr int64_t kNotFinite = 2;

// Parameters of several buckets, whose gradients are what the test says.
class OneRank : public ::testing::TestWithParam<bool> {
 protected:
  OneRank() {
    for (int i = 0; i < 3; ++i) {
      const at::Tensor owner = at::zeros({40});
      const at::Tensor leaf = i == 1 ? owner.to(at::kBFloat16) : owner;
      parameters_.push_back({.leaf = at::Tensor(leaf).set_requires_grad(true), .owner = owner});
    }
    reducer_ = std::make_unique<Reducer>(parameters_,
                                         Reducer::Options{.bucket_bytes = 200,
                                                          .figures = kFigures,
                                                          .not_finite_figure = kNotFinite,
                                                          .fixed_order = GetParam()},
                                         *communicator_);
  }

  // gradients: [passes][parameters], each all over its parameter.
  at::Tensor Step(const std::vector<std::vector<float>>& gradients) {
    reducer_->Start(static_cast<int>(gradients.size()));
    for (const std::vector<float>& of_pass : gradients) {
      reducer_->StartPass(at::ones({kFigures}) * at::tensor({1.0F, 2.0F, 0.0F}));
      at::Tensor loss = at::zeros({});
      for (size_t i = 0; i < of_pass.size(); ++i) {
        loss = loss + (parameters_[i].leaf * of_pass[i]).sum().to(at::kFloat);
      }
      torch::autograd::backward({loss}, {});
      reducer_->EndPass();
    }
    return reducer_->Finish().clone();
  }

  std::shared_ptr<Communicator> communicator_ = MakeCommunicator({}, nullptr);
  std::vector<Reducer::Parameter> parameters_;
  std::unique_ptr<Reducer> reducer_;
};
INSTANTIATE_TEST_SUITE_P(Orders, OneRank, ::testing::Bool(), [](const auto& fixed) {
  return fixed.param ? "InAFixedOrder" : "AsTheyCome";
});

TEST_P(OneRank, AddsPassesAndCarriesTheFigures) {
  const at::Tensor figures = Step({{1, 2, 3}, {10, 20, 30}});
  EXPECT_TRUE(at::equal(figures, at::tensor({2.0F, 4.0F, 0.0F})));
  for (size_t i = 0; i < parameters_.size(); ++i) {
    const auto sum = static_cast<float>(11 * (i + 1));
    EXPECT_TRUE(at::equal(parameters_[i].owner.grad(), at::full({40}, sum))) << i;
  }
}

TEST_P(OneRank, TellsOfAGradientThatIsNotFiniteInAnyPassAndOfNoneAfterwards) {
  const float infinity = std::numeric_limits<float>::infinity();
  for (size_t pass = 0; pass < 2; ++pass) {
    for (size_t parameter = 0; parameter < 3; ++parameter) {
      std::vector<std::vector<float>> gradients = {{1, 2, 3}, {1, 2, 3}};
      gradients[pass][parameter] = infinity;
      const at::Tensor figures = Step(gradients);
      EXPECT_GT(figures[kNotFinite].item<float>(), 0) << pass << ' ' << parameter;
      EXPECT_EQ(figures[1].item<float>(), 4);
    }
  }
  EXPECT_EQ(Step({{1, 2, 3}, {1, 2, 3}})[kNotFinite].item<float>(), 0);
}

}  // namespace
}  // namespace mead::train
