// What the fused batch-norm keeps in memory, and where its gradient lies.
#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/function.h>

#include <functional>
#include <memory>
#include <string>

#include "tests/unit/train/norm_act_problem.h"
#include "worker/train/memory/cpu_pool.h"
#include "worker/train/ops/norm_act.h"

namespace mead::train {
namespace {

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

}  // namespace
}  // namespace mead::train
