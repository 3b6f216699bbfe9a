// The fused batch-norm against finite differences and against the unfused graph.
#include "worker/train/ops/norm_act.h"

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <string>
#include <vector>

#include "tests/unit/train/norm_act_problem.h"

namespace mead::train {
namespace {

// By central differences. tensor: one of the inputs' own, moved and put back.
at::Tensor NumericGradient(const at::Tensor& tensor, const std::function<double()>& loss) {
  constexpr double kStep = 1e-5;
  at::Tensor gradient = at::empty_like(tensor);
  auto* values = tensor.mutable_data_ptr<double>();
  auto* derivatives = gradient.mutable_data_ptr<double>();
  for (int64_t i = 0; i < tensor.numel(); ++i) {
    const double value = values[i];
    values[i] = value + kStep;
    const double above = loss();
    values[i] = value - kStep;
    const double below = loss();
    values[i] = value;
    derivatives[i] = (above - below) / (2 * kStep);
  }
  return gradient;
}

void CheckAgainstDifferences(Op op, NormStatistics statistics, Reach reach) {
  SCOPED_TRACE(Name(op, statistics, reach));
  const Inputs base = MakeInputs(op, {2, 16, 3, 5}, statistics);
  const Gradients gradients =
      MakeGradients(Fused(op, base.As(at::kDouble), statistics).into, reach);
  const at::Tensor weight = gradients.Sum();

  std::vector<at::Tensor> expected;
  {
    const NumThreads one(1);
    at::NoGradGuard no_grad;
    const Inputs moved = base.As(at::kDouble);
    for (const at::Tensor& tensor : moved.Learned()) {
      if (op != Op::kNormAddRelu && tensor.is_same(moved.residual)) {
        expected.emplace_back();
        continue;
      }
      expected.push_back(NumericGradient(tensor, [&] {
        return (Fused(op, moved, statistics).into * weight).sum().item<double>();
      }));
    }
  }

  // Every choice of what learns: bit i is Learned()[i].
  for (unsigned needed = 1; needed < 16; ++needed) {
    if (op != Op::kNormAddRelu && (needed & 2U) != 0) continue;
    SCOPED_TRACE("needed " + std::to_string(needed));
    const Inputs in = base.As(at::kDouble);
    const std::vector<at::Tensor> learned = in.Learned();
    for (size_t i = 0; i < learned.size(); ++i) {
      learned[i].set_requires_grad((needed >> i & 1U) != 0);
    }
    Backward(Fused(op, in, statistics), gradients);
    for (size_t i = 0; i < learned.size(); ++i) {
      if ((needed >> i & 1U) == 0) {
        EXPECT_FALSE(learned[i].grad().defined()) << kLearnedNames[i];
      } else {
        EXPECT_LT(RelativeError(learned[i].grad(), expected[i]), 1e-7) << kLearnedNames[i];
      }
    }
  }
}

TEST(NormActGradient, OfBatchStatisticsEqualsFiniteDifferences) {
  for (const Op op : kOps) {
    for (const Reach reach : Reaches(op)) {
      CheckAgainstDifferences(op, NormStatistics::kBatch, reach);
    }
  }
}

TEST(NormActGradient, OfUntrackedBatchStatisticsEqualsFiniteDifferences) {
  for (const Op op : kOps) {
    for (const Reach reach : Reaches(op)) {
      CheckAgainstDifferences(op, NormStatistics::kBatchUntracked, reach);
    }
  }
}

TEST(NormActGradient, OfFrozenStatisticsEqualsFiniteDifferences) {
  for (const Op op : kOps) {
    for (const Reach reach : Reaches(op)) {
      CheckAgainstDifferences(op, NormStatistics::kRunning, reach);
    }
  }
}

// Outputs, running statistics and gradients of the fused operator, against the
// unfused graph in double precision on the same values.
void CheckAgainstUnfused(Op op, at::IntArrayRef shape, NormStatistics statistics, Reach reach,
                         at::ScalarType type, at::MemoryFormat format, double mean) {
  const double tolerance = type == at::kBFloat16 ? 1e-2 : type == at::kFloat ? 1e-5 : 1e-11;
  std::string of_shape;
  for (const int64_t size : shape) of_shape += ' ' + std::to_string(size);
  SCOPED_TRACE(Name(op, statistics, reach) + ", " + at::toString(type) + of_shape + ", mean " +
               std::to_string(mean));
  const Inputs base = MakeInputs(op, shape, statistics, mean, type);
  Inputs in = base.As(type);
  in.x = in.x.contiguous(format);
  in.residual = in.residual.contiguous(format);
  const Inputs reference = base.As(at::kDouble);
  NeedGradients(in);
  NeedGradients(reference);

  const at::Tensor expected = Unfused(op, reference, statistics);
  const Fork y = Fused(op, in, statistics);
  EXPECT_EQ(y.into.scalar_type(), type);
  EXPECT_TRUE(y.into.is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_LT(RelativeError(y.into, expected), tolerance);
  if (op == Op::kNormAddRelu) {
    EXPECT_EQ(y.past.data_ptr(), y.into.data_ptr());
  }
  EXPECT_LT(RelativeError(in.norm.mean, reference.norm.mean), 1e-5);
  EXPECT_LT(RelativeError(in.norm.var, reference.norm.var), 1e-5);
  if (statistics != NormStatistics::kBatch) {
    EXPECT_TRUE(SameBits(in.norm.mean, base.As(type).norm.mean));
    EXPECT_TRUE(SameBits(in.norm.var, base.As(type).norm.var));
  }

  const Gradients gradients = MakeGradients(expected, reach, type);
  Backward(y, gradients.As(type));
  torch::autograd::backward({expected}, {gradients.Sum()});
  for (size_t i = 0; i < std::size(kLearnedNames); ++i) {
    if (op != Op::kNormAddRelu && i == 1) continue;
    EXPECT_LT(RelativeError(in.Learned()[i].grad(), reference.Learned()[i].grad()), tolerance)
        << kLearnedNames[i];
  }
}

void CheckShapesAgainstUnfused(at::ScalarType type) {
  constexpr auto kLast = at::MemoryFormat::ChannelsLast;
  for (const Op op : kOps) {
    for (const NormStatistics statistics : kAllStatistics) {
      for (const Reach reach : Reaches(op)) {
        CheckAgainstUnfused(op, {2, 48, 7, 5}, statistics, reach, type, kLast, /*mean=*/0);
        CheckAgainstUnfused(op, {2, 16, 8, 6}, statistics, reach, type,
                            at::MemoryFormat::Contiguous, /*mean=*/0);
      }
      // More rows than one chunk of sums, and not a multiple of it.
      CheckAgainstUnfused(op, {1, 64, 9, 15}, statistics, Reach::kInto, type, kLast, 0);
      CheckAgainstUnfused(op, {2, 2048, 3, 5}, statistics, Reach::kInto, type, kLast, 0);
      CheckAgainstUnfused(op, {3, 32, 13, 11}, statistics, Reach::kInto, type, kLast,
                          /*mean=*/100);
    }
  }
}

TEST(NormAct, Float32EqualsTheUnfusedGraph) { CheckShapesAgainstUnfused(at::kFloat); }
TEST(NormAct, Bfloat16EqualsTheUnfusedGraph) { CheckShapesAgainstUnfused(at::kBFloat16); }
TEST(NormAct, Float64EqualsTheUnfusedGraph) { CheckShapesAgainstUnfused(at::kDouble); }

TEST(NormAct, LongBatchesEqualTheUnfusedGraph) {
  CheckAgainstUnfused(Op::kNormAddRelu, {5, 16, 61, 59}, NormStatistics::kBatch, Reach::kBoth,
                      at::kFloat, at::MemoryFormat::ChannelsLast, 0);
  CheckAgainstUnfused(Op::kNormRelu, {5, 16, 61, 59}, NormStatistics::kBatch, Reach::kInto,
                      at::kFloat, at::MemoryFormat::ChannelsLast, /*mean=*/100);
}

TEST(NormAct, GradientsOfAnyStridesAreTaken) {
  constexpr auto kStatistics = NormStatistics::kBatch;
  const Inputs base = MakeInputs(Op::kNormAddRelu, {2, 16, 4, 6}, kStatistics);
  const Inputs reference = base.As(at::kDouble);
  NeedGradients(reference);
  Unfused(Op::kNormAddRelu, reference, kStatistics).square().sum().backward();
  // 2y of a contiguous tensor, and a sum's gradient, whose strides are 0.
  const Inputs in = base.As(at::kDouble);
  NeedGradients(in);
  const Fork y = Fused(Op::kNormAddRelu, in, kStatistics);
  const at::Tensor doubled = (2 * y.into.detach()).contiguous();
  Backward(y, {.into = doubled - 1, .past = at::ones({}, at::kDouble).expand(doubled.sizes())});
  for (size_t i = 0; i < std::size(kLearnedNames); ++i) {
    EXPECT_LT(RelativeError(in.Learned()[i].grad(), reference.Learned()[i].grad()), 1e-10)
        << kLearnedNames[i];
  }
}

TEST(NormAct, WithoutGradientsTheInputStaysAsItIs) {
  for (const Op op : kOps) {
    const Inputs in = MakeInputs(op, {2, 16, 5, 7}, NormStatistics::kRunning).As(at::kFloat);
    const at::Tensor before = in.x.clone();
    at::NoGradGuard no_grad;
    const Fork y = Fused(op, in, NormStatistics::kRunning);
    EXPECT_TRUE(SameBits(in.x, before));
    EXPECT_FALSE(y.into.requires_grad());
  }
}

TEST(NormActRunning, VarianceIsUnbiasedAndTakenUpByATenth) {
  Inputs in = MakeInputs(Op::kNorm, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kDouble);
  const BatchNorm before = in.As(at::kDouble).norm;
  NormAct(in.x, in.norm, NormStatistics::kBatch, Activation::kNone);
  const at::Tensor rows = in.x.permute({1, 0, 2, 3}).reshape({16, 30});
  const at::Tensor var = at::var(rows, at::IntArrayRef{1}, /*unbiased=*/true);
  EXPECT_LT(RelativeError(in.norm.mean, 0.9 * before.mean + 0.1 * rows.mean(1)), 1e-12);
  EXPECT_LT(RelativeError(in.norm.var, 0.9 * before.var + 0.1 * var), 1e-12);
}

TEST(NormActRunning, UntrackedStatisticsKeepTheirBits) {
  for (const Op op : kOps) {
    const Inputs in = MakeInputs(op, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
    const BatchNorm before = in.As(at::kFloat).norm;
    Fused(op, in, NormStatistics::kBatchUntracked);
    EXPECT_TRUE(SameBits(in.norm.mean, before.mean));
    EXPECT_TRUE(SameBits(in.norm.var, before.var));
  }
}

// torch divides by rows - 1 and makes the running variance NaN for ever.
TEST(NormActRunning, OneRowHasNoVarianceAndNoGradient) {
  const Inputs in = MakeInputs(Op::kNorm, {1, 16, 1, 1}, NormStatistics::kBatch).As(at::kFloat);
  const BatchNorm before = in.As(at::kFloat).norm;
  const at::Tensor x = in.x.clone();
  NeedGradients(in);
  const at::Tensor y = NormAct(in.x, in.norm, NormStatistics::kBatch, Activation::kNone);
  EXPECT_TRUE(at::equal(y.view({16}), in.norm.beta));
  EXPECT_LT(RelativeError(in.norm.mean, 0.9 * before.mean + 0.1 * x.view({16})), 1e-6);
  EXPECT_LT(RelativeError(in.norm.var, 0.9 * before.var), 1e-6);
  Backward({.into = y, .past = {}}, {.into = at::ones_like(y), .past = {}});
  // The deviation is sqrt(epsilon): a rounding error is multiplied by 316.
  EXPECT_LT(in.x.grad().abs().max().item<float>(), 1e-4);
}

}  // namespace
}  // namespace mead::train
