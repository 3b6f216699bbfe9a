// What one rank's reducer makes of its gradients, and what it sends. Sums over real ranks:
// gang_test.cc.
#include "worker/train/comm/reducer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::ElementsAre;

// A gang of two whose other rank always brings the same: a sum is the double. It
// notes what is summed.
class Twins : public Communicator {
 public:
  int rank() const override { return 0; }
  int world_size() const override { return 2; }
  const char* transport() const override { return "twins"; }
  std::unique_ptr<Pending> AllReduceSum(at::Tensor& tensor) override {
    sums.push_back(std::string(at::toString(tensor.scalar_type())) + " x " +
                   std::to_string(tensor.numel()));
    tensor.mul_(2);
    return std::make_unique<Done>();
  }
  at::Tensor AllGather(const at::Tensor& tensor) override { return at::stack({tensor, tensor}); }
  void Broadcast(at::Tensor&, int) override {}
  void Barrier() override {}

  std::vector<std::string> sums;  // "Float x 5", ...

 private:
  class Done : public Pending {
    void Wait() override {}
  };
};

// Two parameters of 3 and 20 elements, which make a bucket each of 16 and 32.
struct Model {
  at::Tensor a = at::zeros({3}).set_requires_grad(true);   // [3]
  at::Tensor b = at::zeros({20}).set_requires_grad(true);  // [20]

  std::vector<Reducer::Parameter> parameters() const {
    return {{.leaf = a, .owner = a}, {.leaf = b, .owner = b}};
  }

  // A step whose passes have these gradients; a pass of 0 has no pictures.
  at::Tensor Step(Reducer& reducer, const std::vector<float>& gradients,
                  const at::Tensor& figures) const {
    reducer.Start(static_cast<int>(gradients.size()));
    for (const float gradient : gradients) {
      reducer.StartPass(figures);
      if (gradient != 0) torch::autograd::backward({(a.sum() + b.sum()) * gradient}, {});
      reducer.EndPass();
    }
    return reducer.Finish().clone();
  }
};

Reducer::Options Options(at::ScalarType wire) {
  return {.bucket_bytes = 64, .figures = 2, .not_finite_figure = 1, .wire = wire};
}

at::Tensor Figures() { return at::tensor({257.F, 0.1F}); }  // [2]; bfloat16 holds neither

TEST(Reducer, FiguresTravelInTheLastBucketOfFloat32) {
  const Model model;
  Twins gang;
  Reducer reducer(model.parameters(), Options(at::kFloat), gang);
  const at::Tensor figures = model.Step(reducer, {0.3F}, Figures());
  EXPECT_THAT(gang.sums, ElementsAre("Float x 32", "Float x 18"));
  EXPECT_TRUE(figures.equal(Figures() * 2));
  EXPECT_TRUE(model.a.grad().equal(at::full({3}, 0.3F * 2)));
}

TEST(Reducer, InBfloat16BucketsAreRoundedForTheWayAndFiguresTravelApart) {
  const Model model;
  Twins gang;
  Reducer reducer(model.parameters(), Options(at::kBFloat16), gang);
  const at::Tensor figures = model.Step(reducer, {0.3F}, Figures());
  EXPECT_THAT(gang.sums, ElementsAre("BFloat16 x 32", "BFloat16 x 16", "Float x 2"));
  EXPECT_TRUE(figures.equal(Figures() * 2));
  const at::Tensor rounded = at::full({20}, 0.3F).to(at::kBFloat16).to(at::kFloat);
  EXPECT_EQ(model.b.grad().scalar_type(), at::kFloat);
  EXPECT_TRUE(model.b.grad().equal(rounded * 2));
  EXPECT_FALSE(model.b.grad().equal(at::full({20}, 0.3F * 2)));
}

// Ranks may have different numbers of passes, and none with pictures.
TEST(Reducer, PassesAreAddedInFloat32AndTheSumsTravelInTheSameOrder) {
  const Model model;
  for (const at::ScalarType wire : {at::kFloat, at::kBFloat16}) {
    Twins once, thrice, never;
    Reducer whole(model.parameters(), Options(wire), once);
    model.Step(whole, {1}, Figures());
    Reducer pieces(model.parameters(), Options(wire), thrice);
    // Each of the small ones would vanish in a sum in bfloat16; together they are seen.
    const at::Tensor figures = model.Step(pieces, {1, 0.00390625F, 0.00390625F}, Figures());
    EXPECT_TRUE(figures.equal((Figures() + Figures() + Figures()) * 2));
    EXPECT_TRUE(model.a.grad().equal(at::full({3}, 2.015625F)));
    Reducer empty(model.parameters(), Options(wire), never);
    model.Step(empty, {0}, Figures());
    EXPECT_EQ(model.a.grad().count_nonzero().item<int64_t>(), 0);
    EXPECT_EQ(thrice.sums, once.sums);
    EXPECT_EQ(never.sums, once.sums);
  }
}

TEST(Reducer, AGangOfOneRoundsNothing) {
  const Model model;
  const auto alone = MakeCommunicator({}, nullptr);
  Reducer reducer(model.parameters(), Options(at::kBFloat16), *alone);
  EXPECT_TRUE(model.Step(reducer, {0.3F}, Figures()).equal(Figures()));
  EXPECT_TRUE(model.a.grad().equal(at::full({3}, 0.3F)));
}

TEST(Reducer, AFixedOrderAndRoundedSumsExcludeEachOther) {
  const Model model;
  Twins gang;
  Reducer::Options options = Options(at::kBFloat16);
  options.fixed_order = true;
  EXPECT_THROW(Reducer(model.parameters(), options, gang), TrainError);
}

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
