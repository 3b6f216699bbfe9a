// The fused batch-norm on values that are not finite, on denormals, and over threads.
#include <ATen/Context.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <string>
#include <vector>

#include "tests/unit/train/norm_act_problem.h"
#include "worker/train/ops/norm_act.h"

namespace mead::train {
namespace {

TEST(NormAct, ANotFiniteValueShowsInItsWholeChannelAndInNoOther) {
  for (const double value : {kNan, kInfinity, -kInfinity}) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      for (const Op op : kOps) {
        // In row 0, which sums are formed about, and elsewhere.
        for (const int64_t at : {0, 4}) {
          SCOPED_TRACE(Name(op, NormStatistics::kBatch, Reach::kInto) + std::to_string(value));
          const Inputs in = MakeInputs(op, {2, 16, 5, 5}, NormStatistics::kBatch, 0, type).As(type);
          in.x.index_put_(
              {at::tensor(at / 4), at::tensor(int64_t{3}), at::tensor(at), at::tensor(at)},
              at::scalar_tensor(value, type));
          const at::Tensor y = Fused(op, in, NormStatistics::kBatch).into.to(at::kDouble);
          EXPECT_TRUE(at::isnan(y.select(1, 3)).all().item<bool>());
          EXPECT_TRUE(at::isfinite(y.narrow(1, 0, 3)).all().item<bool>());
          EXPECT_TRUE(at::isfinite(y.narrow(1, 4, 12)).all().item<bool>());
          EXPECT_FALSE(at::isfinite(in.norm.mean[3]).item<bool>());
          EXPECT_TRUE(at::isnan(in.norm.var[3]).item<bool>());
          EXPECT_EQ(at::isfinite(in.norm.mean).sum().item<int64_t>(), 15);
        }
      }
    }
  }
}

TEST(NormAct, WithFrozenStatisticsNanAndInfinityPassAsInTorchAndShowInTheGradients) {
  constexpr auto kStatistics = NormStatistics::kRunning;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    for (const Op op : {Op::kNormRelu, Op::kNormAddRelu}) {
      const Inputs base = MakeInputs(op, {2, 16, 3, 5}, kStatistics, 0, type);
      at::Tensor start = base.x[0][2];  // [3, 5]
      start[0][0] = kNan;
      start[0][1] = kInfinity;
      start[0][2] = -kInfinity;
      const Inputs in = base.As(type);
      const Inputs reference = base.As(at::kDouble);
      NeedGradients(in);
      NeedGradients(reference);
      const Fork y = Fused(op, in, kStatistics);
      const at::Tensor expected = Unfused(op, reference, kStatistics);
      EXPECT_TRUE(at::allclose(y.into.to(at::kDouble), expected, 1e-2, 1e-2, /*equal_nan=*/true));
      const Gradients gradients = MakeGradients(expected, Reach::kInto, type);
      Backward(y, gradients.As(type));
      torch::autograd::backward({expected}, {gradients.into});
      // Where x is finite as in torch; elsewhere torch's is finite too, and hides it.
      const at::Tensor finite = at::isfinite(base.x);
      EXPECT_LT(RelativeError(in.x.grad().masked_select(finite),
                              reference.x.grad().masked_select(finite)),
                1e-2);
      EXPECT_FALSE(at::isfinite(in.x.grad().masked_select(~finite)).any().item<bool>());
      EXPECT_FALSE(at::isfinite(in.norm.gamma.grad()[2]).item<bool>());
      EXPECT_EQ(at::isfinite(in.norm.gamma.grad()).sum().item<int64_t>(), 15);
    }
  }
}

TEST(NormAct, ANotFiniteGradientIsSeen) {
  for (const Op op : kOps) {
    const Inputs in = MakeInputs(op, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
    NeedGradients(in);
    const Fork y = Fused(op, in, NormStatistics::kBatch);
    Backward(y, {.into = at::full_like(y.into, kNan), .past = {}});
    EXPECT_TRUE(at::isnan(in.norm.beta.grad()).all().item<bool>());
    EXPECT_TRUE(at::isnan(in.norm.gamma.grad()).all().item<bool>());
    EXPECT_TRUE(at::isnan(in.x.grad()).all().item<bool>());
  }
}

// A layer that gives back its input.
Inputs Identity(at::ScalarType type, double value) {
  const auto per_channel = at::dtype(at::kFloat);
  return {.x = at::full({1, 16, 1, 2}, value, at::dtype(type)),
          .residual = at::zeros({1, 16, 1, 2}, at::dtype(type)),
          .norm = {.gamma = at::ones({16}, per_channel),
                   .beta = at::zeros({16}, per_channel),
                   .mean = at::zeros({16}, per_channel),
                   .var = at::ones({16}, per_channel) - 1e-5}};
}

TEST(NormAct, DenormalsStayUnlessTheThreadFlushesThem) {
  constexpr float kDenormal = 1e-39F;
  for (const Op op : {Op::kNormRelu, Op::kNormAddRelu}) {
    const Inputs wide = Identity(at::kFloat, kDenormal);
    NeedGradients(wide);
    const Fork y = Fused(op, wide, NormStatistics::kRunning);
    EXPECT_LT(RelativeError(y.into, wide.x), 1e-5);
    Backward(y, {.into = at::ones_like(y.into), .past = {}});
    EXPECT_TRUE(at::allclose(wide.x.grad(), at::ones_like(y.into)));

    // The conversion of AVX-512 BF16 flushes always, the others never.
    const Inputs narrow = Identity(at::kBFloat16, kDenormal);
    const at::Tensor small = Fused(op, narrow, NormStatistics::kRunning).into;
    EXPECT_TRUE(SameBits(small, at::zeros_like(small)) || RelativeError(small, narrow.x) < 1e-2);

    ASSERT_TRUE(at::globalContext().setFlushDenormal(true));
    const Inputs flushed = Identity(at::kFloat, kDenormal);
    NeedGradients(flushed);
    const Fork zero = Fused(op, flushed, NormStatistics::kRunning);
    Backward(zero, {.into = at::ones_like(zero.into), .past = {}});
    at::globalContext().setFlushDenormal(false);
    EXPECT_TRUE(SameBits(zero.into, at::zeros_like(zero.into)));
    EXPECT_TRUE(SameBits(flushed.x.grad(), at::zeros_like(zero.into)));
  }
}

std::vector<at::Tensor> EverythingOf(Op op, const Inputs& base, at::ScalarType type, int threads) {
  const NumThreads number(threads);
  const Inputs in = base.As(type);
  NeedGradients(in);
  const Fork y = Fused(op, in, NormStatistics::kBatch);
  const Reach reach = op == Op::kNormAddRelu ? Reach::kBoth : Reach::kInto;
  std::vector<at::Tensor> all = {y.into.detach().clone(), in.norm.mean, in.norm.var};
  Backward(y, MakeGradients(y.into, reach).As(type));
  for (const at::Tensor& tensor : in.Learned()) {
    if (tensor.grad().defined()) all.push_back(tensor.grad());
  }
  return all;
}

TEST(NormAct, TheNumberOfThreadsDoesNotChangeABit) {
  const std::vector<int64_t> kWide = {3, 64, 31, 33}, kLong = {8, 16, 47, 49};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    for (const std::vector<int64_t>& shape : {kWide, kLong}) {
      for (const Op op : kOps) {
        SCOPED_TRACE(Name(op, NormStatistics::kBatch, Reach::kBoth));
        const Inputs base = MakeInputs(Op::kNorm, shape, NormStatistics::kBatch, 0, type);
        const std::vector<at::Tensor> one = EverythingOf(op, base, type, 1);
        for (const int threads : {2, 3}) {
          const std::vector<at::Tensor> several = EverythingOf(op, base, type, threads);
          ASSERT_EQ(several.size(), one.size());
          for (size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(SameBits(several[i], one[i])) << i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace mead::train
