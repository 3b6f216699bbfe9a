#include "worker/train/ops/norm_act.h"

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <gmock/gmock.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

#include <cmath>
#include <functional>
#include <limits>

#include "tests/unit/train/optim_problem.h"
#include "worker/train/memory/cpu_pool.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

enum class Op { kNorm, kNormRelu, kNormAddRelu, kNormReluPool };
constexpr Op kOps[] = {Op::kNorm, Op::kNormRelu, Op::kNormAddRelu, Op::kNormReluPool};
constexpr NormStatistics kAllStatistics[] = {
    NormStatistics::kBatch, NormStatistics::kBatchUntracked, NormStatistics::kRunning};
// Which of a fork's two ways a gradient comes back on.
enum class Reach { kInto, kPast, kBoth };

std::vector<Reach> Reaches(Op op) {
  if (op != Op::kNormAddRelu) return {Reach::kInto};
  return {Reach::kInto, Reach::kPast, Reach::kBoth};
}

std::string Name(Op op, NormStatistics statistics, Reach reach) {
  constexpr const char* kOpNames[] = {"norm", "norm+relu", "norm+add+relu", "norm+relu+pool"};
  constexpr const char* kStatisticsNames[] = {"batch", "batch untracked", "running"};
  constexpr const char* kReachNames[] = {"into", "past", "both"};
  return std::string(kOpNames[static_cast<int>(op)]) + ", " +
         kStatisticsNames[static_cast<int>(statistics)] + ", gradient " +
         kReachNames[static_cast<int>(reach)];
}

// One application of a layer. residual is read by kNormAddRelu alone.
struct Inputs {
  at::Tensor x, residual;  // [N, C, H, W]
  BatchNorm norm;

  // Copies: of x and residual in `type`, of the layer in what goes with it.
  Inputs As(at::ScalarType type) const {
    const auto of_channel = type == at::kDouble ? at::kDouble : at::kFloat;
    const auto copy = [](const at::Tensor& tensor, at::ScalarType to) {
      return tensor.detach().to(to, /*non_blocking=*/false, /*copy=*/true);
    };
    return {.x = copy(x, type),
            .residual = copy(residual, type),
            .norm = {.gamma = copy(norm.gamma, of_channel),
                     .beta = copy(norm.beta, of_channel),
                     .mean = copy(norm.mean, of_channel),
                     .var = copy(norm.var, of_channel)}};
  }

  std::vector<at::Tensor> Learned() const { return {x, residual, norm.gamma, norm.beta}; }
};
constexpr const char* kLearnedNames[] = {"x", "residual", "gamma", "beta"};

at::Tensor Rounded(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.to(type).to(at::kDouble);
}

Fork Fused(Op op, const Inputs& in, NormStatistics statistics) {
  switch (op) {
    case Op::kNorm:
      return {.into = NormAct(in.x, in.norm, statistics, Activation::kNone), .past = {}};
    case Op::kNormRelu:
      return {.into = NormAct(in.x, in.norm, statistics, Activation::kRelu), .past = {}};
    case Op::kNormAddRelu:
      return NormAddRelu(in.x, in.norm, statistics, in.residual);
    case Op::kNormReluPool:
      return {.into = NormReluPool(in.x, in.norm, statistics), .past = {}};
  }
  return {};
}

// Before the activation.
at::Tensor UnfusedSum(Op op, const Inputs& in, NormStatistics statistics) {
  const bool keep = statistics == NormStatistics::kBatchUntracked;
  const at::Tensor z =
      at::batch_norm(in.x, in.norm.gamma, in.norm.beta, keep ? in.norm.mean.clone() : in.norm.mean,
                     keep ? in.norm.var.clone() : in.norm.var,
                     /*training=*/statistics != NormStatistics::kRunning, /*momentum=*/0.1,
                     /*eps=*/1e-5, /*cudnn_enabled=*/false);
  return op == Op::kNormAddRelu ? z + in.residual : z;
}

// The same graph of LibTorch's own operators. stored: the type that the fused
// operator keeps ReLU's result in (ties in the pooling depend on it).
at::Tensor Unfused(Op op, const Inputs& in, NormStatistics statistics,
                   at::ScalarType stored = at::kDouble) {
  const at::Tensor z = UnfusedSum(op, in, statistics);
  if (op == Op::kNorm) return z;
  const at::Tensor y = at::relu(z);
  if (op != Op::kNormReluPool) return y;
  return at::max_pool2d(stored == at::kDouble ? y : Rounded(y, stored), {3, 3}, {2, 2}, {1, 1});
}

// A layer in double precision whose values are `type`'s, and none of whose
// activations lies so near to zero that rounding decides whether it passes.
Inputs MakeInputs(Op op, at::IntArrayRef shape, NormStatistics statistics, double mean = 0,
                  at::ScalarType type = at::kDouble) {
  const int64_t channels = shape[1];
  const auto random = [](at::IntArrayRef of, uint64_t seed) {
    return RandomTensor(of, seed).to(at::kDouble);
  };
  const auto of_channel = [&](double low, double high, uint64_t seed) {
    const at::Tensor values = (random({channels}, seed) + 1) * ((high - low) / 2) + low;
    return type == at::kDouble ? values : Rounded(values, at::kFloat);
  };
  Inputs in = {.x = Rounded(random(shape, 1) * 2 + mean, type),
               .residual = Rounded(random(shape, 2), type),
               .norm = {.gamma = of_channel(0.5, 1.5, 3),
                        .beta = of_channel(-0.5, 0.5, 4),
                        .mean = of_channel(mean - 0.5, mean + 0.5, 5),
                        .var = of_channel(0.5, 1.5, 6)}};
  if (op == Op::kNorm) return in;
  for (int round = 0; round < 50; ++round) {
    const at::Tensor near = UnfusedSum(op, in.As(at::kDouble), statistics).abs() < 1e-3;
    if (!near.any().item<bool>()) return in;
    at::Tensor& moved = op == Op::kNormAddRelu ? in.residual : in.x;
    moved = Rounded(moved + near.to(at::kDouble) * 0.5, type);
  }
  ADD_FAILURE() << "activations next to zero remain";
  return in;
}

// What comes back on `into` and `past`; undefined where nothing does.
struct Gradients {
  at::Tensor into, past;

  at::Tensor Sum() const {
    if (!into.defined()) return past;
    return past.defined() ? into + past : into;
  }
  Gradients As(at::ScalarType type) const {
    return {.into = into.defined() ? into.to(type) : into,
            .past = past.defined() ? past.to(type) : past};
  }
};

Gradients MakeGradients(const at::Tensor& y, Reach reach, at::ScalarType type = at::kDouble) {
  const auto random = [&](uint64_t seed) {
    return Rounded(RandomTensor(y.sizes(), seed).to(at::kDouble), type);
  };
  return {.into = reach != Reach::kPast ? random(7) : at::Tensor(),
          .past = reach != Reach::kInto ? random(8) : at::Tensor()};
}

void Backward(const Fork& y, const Gradients& gradients) {
  std::vector<at::Tensor> roots, from;
  if (gradients.into.defined()) roots.push_back(y.into), from.push_back(gradients.into);
  if (gradients.past.defined()) roots.push_back(y.past), from.push_back(gradients.past);
  torch::autograd::backward(roots, from);
}

void NeedGradients(const Inputs& in) {
  for (const at::Tensor& tensor : in.Learned()) tensor.set_requires_grad(true);
}

// The largest difference, as a share of the largest expected value.
double RelativeError(const at::Tensor& value, const at::Tensor& expected) {
  if (!value.defined() || !expected.defined()) return kInfinity;
  const at::Tensor reference = expected.detach().to(at::kDouble);
  const double largest = reference.abs().max().item<double>();
  const at::Tensor difference = (value.detach().to(at::kDouble) - reference).abs();
  return difference.max().item<double>() / std::max(largest, 1e-30);
}

// The same bits; NaNs too.
bool SameBits(const at::Tensor& a, const at::Tensor& b) {
  const auto bits = [](const at::Tensor& tensor) {
    return tensor.detach().contiguous().view(at::kByte);
  };
  return at::equal(bits(a), bits(b));
}

class NumThreads {
 public:
  explicit NumThreads(int count) : before_(at::get_num_threads()) { at::set_num_threads(count); }
  ~NumThreads() { at::set_num_threads(before_); }
  NumThreads(const NumThreads&) = delete;
  NumThreads& operator=(const NumThreads&) = delete;

 private:
  int before_;
};

TrainError ErrorOf(const std::function<void()>& f) {
  try {
    f();
  } catch (const TrainError& error) {
    return error;
  }
  ADD_FAILURE() << "no TrainError";
  return {ErrorKind::kUserError, ""};
}

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

  const at::Tensor expected = Unfused(op, reference, statistics, type);
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

TEST(NormAct, TheGradientOfXLiesInItsMemory) {
  for (const Op op : kOps) {
    const Inputs in = MakeInputs(op, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
    NeedGradients(in);
    Inputs inner = in;
    inner.x = in.x * 1;
    const void* memory = inner.x.data_ptr();
    const void* of_gradient = nullptr;
    inner.x.register_hook([&](const at::Tensor& gradient) { of_gradient = gradient.data_ptr(); });
    const Fork y = Fused(op, inner, NormStatistics::kBatch);
    inner.x.reset();
    Backward(y, MakeGradients(y.into, Reach::kInto).As(at::kFloat));
    EXPECT_EQ(of_gradient, memory);
  }
}

// Bytes of large tensors, on top of inputs that lie there anyway.
struct Memory {
  int64_t forward = 0;   // held once the outputs are given away
  int64_t backward = 0;  // most in use in backward, beyond what it began with
};

// x comes out of another operator and is kept by nobody else; so does the residual
// stay with its owner.
Memory MeasureAddRelu(const Inputs& layer,
                      const std::function<at::Tensor(const Inputs&)>& forward) {
  const auto in_use = [] { return CpuPoolUsage().in_use_bytes; };
  const at::Tensor unit = at::ones({1}).set_requires_grad(true);
  const at::Tensor gradient = at::ones_like(layer.x);
  for (const at::Tensor& tensor : {layer.residual, layer.norm.gamma, layer.norm.beta}) {
    tensor.set_requires_grad(true);
    tensor.mutable_grad() = at::zeros_like(tensor);
  }
  Memory memory;
  const int64_t start = in_use();
  Inputs in = layer;
  in.x = layer.x * unit;
  at::Tensor y = forward(in);
  in.x.reset();
  const std::shared_ptr<torch::autograd::Node> graph = y.grad_fn();
  y.reset();
  memory.forward = in_use() - start;

  in.x = layer.x * unit;
  y = forward(in);
  in.x.reset();
  ResetCpuPoolPeak();
  const int64_t before = in_use();
  torch::autograd::backward({y}, {gradient});
  memory.backward = CpuPoolUsage().peak_bytes - before;
  return memory;
}

TEST(NormActMemory, KeepsItsInputAndOneBitPerElementAndAllocatesOneGradient) {
  InstallCpuPool(0);
  // Blocks of other sizes go back: one a little too large would be counted whole.
  ResetCpuPoolPeak();
  at::empty({64 * 1024}, at::dtype(at::kByte));
  const int64_t bytes = int64_t{8} * 64 * 32 * 32 * 4;  // 2 MiB
  const auto random = [](uint64_t seed) { return RandomTensor({8, 64, 32, 32}, seed); };
  const Inputs layer = {.x = random(1),
                        .residual = random(2),
                        .norm = {.gamma = at::ones({64}),
                                 .beta = at::zeros({64}),
                                 .mean = at::zeros({64}),
                                 .var = at::ones({64})}};
  const Memory fused = MeasureAddRelu(layer, [](const Inputs& in) {
    return NormAddRelu(in.x, in.norm, NormStatistics::kBatch, in.residual).into;
  });
  const Memory unfused = MeasureAddRelu(layer, [](const Inputs& in) {
    return Unfused(Op::kNormAddRelu, in, NormStatistics::kBatch);
  });
  RecordProperty("tensor_bytes", std::to_string(bytes));
  RecordProperty("fused_kept_bytes", std::to_string(fused.forward));
  RecordProperty("unfused_kept_bytes", std::to_string(unfused.forward));
  RecordProperty("fused_backward_bytes", std::to_string(fused.backward));
  RecordProperty("unfused_backward_bytes", std::to_string(unfused.backward));
  EXPECT_EQ(fused.forward, bytes + bytes / 32);
  EXPECT_GE(unfused.forward, 2 * bytes);
  EXPECT_LE(fused.backward, bytes);  // the residual's
  EXPECT_GT(unfused.backward, fused.backward);
}

TEST(NormActErrors, AnotherShapeIsNamedNextToTheExpectedOne) {
  const Inputs in = MakeInputs(Op::kNorm, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
  const std::vector<std::vector<int64_t>> shapes = {
      {2, 24, 3, 5}, {2, 16, 15}, {2, 0, 3, 5}, {0, 16, 3, 5}};
  for (const std::vector<int64_t>& shape : shapes) {
    for (const Op op : kOps) {
      Inputs bad = in;
      bad.x = at::zeros(shape);
      const TrainError error = ErrorOf([&] { Fused(op, bad, NormStatistics::kBatch); });
      EXPECT_EQ(error.kind(), ErrorKind::kInternal);
      EXPECT_THAT(error.what(), HasSubstr("[N, C, H, W] with C a multiple of 16"));
      EXPECT_THAT(error.what(), HasSubstr(c10::str(at::IntArrayRef(shape))));
    }
  }
}

TEST(NormActErrors, ATypeWithoutPassesIsNamedNextToTheExpectedOnes) {
  for (const at::ScalarType type : {at::kInt, at::kByte, at::kHalf}) {
    for (const Op op : kOps) {
      Inputs bad = MakeInputs(op, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
      bad.x = bad.x.to(type);
      bad.residual = bad.residual.to(type);
      const TrainError error = ErrorOf([&] { Fused(op, bad, NormStatistics::kBatch); });
      EXPECT_EQ(error.kind(), ErrorKind::kInternal);
      EXPECT_THAT(error.what(), HasSubstr("float32, bfloat16 or float64"));
      EXPECT_THAT(error.what(), HasSubstr(at::toString(type)));
    }
  }
}

TEST(NormActErrors, AResidualUnlikeXIsRefused) {
  const Inputs in =
      MakeInputs(Op::kNormAddRelu, {2, 16, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
  for (const at::Tensor& residual :
       {at::zeros({2, 16, 1, 1}), at::zeros({2, 16, 3, 5}, at::dtype(at::kBFloat16)),
        at::zeros({2, 32, 3, 5})}) {
    const TrainError error =
        ErrorOf([&] { NormAddRelu(in.x, in.norm, NormStatistics::kBatch, residual); });
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("residual"));
    EXPECT_THAT(error.what(), HasSubstr(c10::str(residual.sizes())));
  }
}

TEST(NormActErrors, ALayerOfAnotherWidthOrTypeIsRefused) {
  const Inputs in = MakeInputs(Op::kNorm, {2, 32, 3, 5}, NormStatistics::kBatch).As(at::kFloat);
  const Inputs narrow = MakeInputs(Op::kNorm, {2, 16, 3, 5}, NormStatistics::kBatch);
  for (const BatchNorm& norm : {narrow.As(at::kFloat).norm, in.As(at::kDouble).norm}) {
    const TrainError error =
        ErrorOf([&] { NormAct(in.x, norm, NormStatistics::kBatch, Activation::kRelu); });
    EXPECT_EQ(error.kind(), ErrorKind::kInternal);
    EXPECT_THAT(error.what(), HasSubstr("expected [32] of Float"));
  }
}

}  // namespace
}  // namespace mead::train
