// What the tests of the fused batch-norm share: one layer's inputs and gradients, the
// operator itself, and the same graph of LibTorch's own operators.
#pragma once

#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <limits>
#include <string>
#include <vector>

#include "tests/unit/train/optim_problem.h"
#include "worker/train/ops/norm_act.h"

namespace mead::train {

inline constexpr double kInfinity = std::numeric_limits<double>::infinity();
inline constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

enum class Op { kNorm, kNormRelu, kNormAddRelu, kNormReluPool };
inline constexpr Op kOps[] = {Op::kNorm, Op::kNormRelu, Op::kNormAddRelu, Op::kNormReluPool};
inline constexpr NormStatistics kAllStatistics[] = {
    NormStatistics::kBatch, NormStatistics::kBatchUntracked, NormStatistics::kRunning};
// Which of a fork's two ways a gradient comes back on.
enum class Reach { kInto, kPast, kBoth };

inline std::vector<Reach> Reaches(Op op) {
  if (op != Op::kNormAddRelu) return {Reach::kInto};
  return {Reach::kInto, Reach::kPast, Reach::kBoth};
}

inline std::string Name(Op op, NormStatistics statistics, Reach reach) {
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
inline constexpr const char* kLearnedNames[] = {"x", "residual", "gamma", "beta"};

inline at::Tensor Rounded(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.to(type).to(at::kDouble);
}

inline Fork Fused(Op op, const Inputs& in, NormStatistics statistics) {
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
inline at::Tensor UnfusedSum(Op op, const Inputs& in, NormStatistics statistics) {
  const bool keep = statistics == NormStatistics::kBatchUntracked;
  const at::Tensor z =
      at::batch_norm(in.x, in.norm.gamma, in.norm.beta, keep ? in.norm.mean.clone() : in.norm.mean,
                     keep ? in.norm.var.clone() : in.norm.var,
                     /*training=*/statistics != NormStatistics::kRunning, /*momentum=*/0.1,
                     /*eps=*/1e-5, /*cudnn_enabled=*/false);
  return op == Op::kNormAddRelu ? z + in.residual : z;
}

// The same graph of LibTorch's own operators.
inline at::Tensor Unfused(Op op, const Inputs& in, NormStatistics statistics) {
  const at::Tensor z = UnfusedSum(op, in, statistics);
  if (op == Op::kNorm) return z;
  const at::Tensor y = at::relu(z);
  if (op != Op::kNormReluPool) return y;
  return at::max_pool2d(y, {3, 3}, {2, 2}, {1, 1});
}

// A layer in double precision whose values are `type`'s, and none of whose
// activations lies so near to zero that rounding decides whether it passes.
inline Inputs MakeInputs(Op op, at::IntArrayRef shape, NormStatistics statistics, double mean = 0,
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

inline Gradients MakeGradients(const at::Tensor& y, Reach reach,
                               at::ScalarType type = at::kDouble) {
  const auto random = [&](uint64_t seed) {
    return Rounded(RandomTensor(y.sizes(), seed).to(at::kDouble), type);
  };
  return {.into = reach != Reach::kPast ? random(7) : at::Tensor(),
          .past = reach != Reach::kInto ? random(8) : at::Tensor()};
}

inline void Backward(const Fork& y, const Gradients& gradients) {
  std::vector<at::Tensor> roots, from;
  if (gradients.into.defined()) roots.push_back(y.into), from.push_back(gradients.into);
  if (gradients.past.defined()) roots.push_back(y.past), from.push_back(gradients.past);
  torch::autograd::backward(roots, from);
}

inline void NeedGradients(const Inputs& in) {
  for (const at::Tensor& tensor : in.Learned()) tensor.set_requires_grad(true);
}

// The largest difference, as a share of the largest expected value.
inline double RelativeError(const at::Tensor& value, const at::Tensor& expected) {
  if (!value.defined() || !expected.defined()) return kInfinity;
  const at::Tensor reference = expected.detach().to(at::kDouble);
  const double largest = reference.abs().max().item<double>();
  const at::Tensor difference = (value.detach().to(at::kDouble) - reference).abs();
  return difference.max().item<double>() / std::max(largest, 1e-30);
}

// The same bits; NaNs too.
inline bool SameBits(const at::Tensor& a, const at::Tensor& b) {
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

}  // namespace mead::train
