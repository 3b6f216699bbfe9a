// Every optimizer, clipping and averaging from a captured CUDA graph, against the
// same calls on the CPU; and our SGD kernel against LibTorch's on the GPU.
//
// optim_gpu_check
// Prints what differs and "N passed, N failed". Exit status 1 where something failed,
// 77 where there is no GPU.
#include <ATen/ATen.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>

#include <cstdio>
#include <limits>
#include <string>
#include <vector>

#include "tests/gpu/tally.h"
#include "worker/train/optim/clip.h"
#include "worker/train/optim/ema.h"
#include "worker/train/optim/optimizer.h"
#include "worker/train/optim/sgd_update.h"

namespace mead::train {
namespace {

constexpr double kMaxNorm = 20;  // about the gradients' own: some are clipped

// A network's kinds of parameters, and all that a step touches, on one device.
struct Training {
  Training(OptimizerKind kind, at::Device device)
      : body(Named({"conv", "norm"}, {{64, 32, 3, 3}, {64}}, device)),
        head(Named({"fc", "bias"}, {{10, 64}, {10}}, device)),
        copies(Copies()),
        optimizer(OptimizerDefaults(kind), body, head, copies),
        average(All(), 0.5),
        found_inf(at::zeros({}, at::TensorOptions(device))) {
    for (NamedTensor& parameter : All()) {
      parameter.tensor.mutable_grad() = at::zeros_like(parameter.tensor);
    }
  }

  static std::vector<NamedTensor> Named(const std::vector<std::string>& names,
                                        const std::vector<std::vector<int64_t>>& shapes,
                                        at::Device device) {
    std::vector<NamedTensor> named;
    for (size_t i = 0; i < names.size(); ++i) {
      at::Tensor tensor = at::randn(shapes[i]);
      if (shapes[i].size() == 4) tensor = tensor.contiguous(at::MemoryFormat::ChannelsLast);
      named.push_back({names[i], tensor.to(device)});
    }
    return named;
  }

  std::vector<NamedTensor> All() const {
    std::vector<NamedTensor> all = body;
    all.insert(all.end(), head.begin(), head.end());
    return all;
  }

  // What forward reads in bfloat16; batch-norm's parameters have none.
  std::vector<NamedTensor> Copies() const {
    std::vector<NamedTensor> made;
    for (const NamedTensor& parameter : All()) {
      if (parameter.name == "norm") continue;
      made.push_back({parameter.name, parameter.tensor.to(at::kBFloat16)});
    }
    return made;
  }

  void Step() {
    ClipGradNorm(optimizer.Gradients(), kMaxNorm);
    optimizer.Step(found_inf);
    average.Update(found_inf);
  }

  std::vector<NamedTensor> body, head, copies;
  Optimizer optimizer;
  WeightAverage average;
  at::Tensor found_inf;  // [], float32
};

std::vector<NamedTensor> Everything(const Training& training) {
  std::vector<NamedTensor> all = training.All();
  for (const auto* state : {&training.optimizer.state(), &training.average.state()}) {
    all.insert(all.end(), state->begin(), state->end());
  }
  return all;
}

void CopyAll(const Training& from, const Training& to) {
  const std::vector<NamedTensor> source = Everything(from);
  const std::vector<NamedTensor> target = Everything(to);
  for (size_t i = 0; i < source.size(); ++i) target[i].tensor.copy_(source[i].tensor);
}

void CheckKind(OptimizerKind kind, Tally& tally) {
  const at::Device gpu(at::kCUDA, 0);
  const std::string name(OptimizerName(kind));
  Training expected(kind, at::kCPU);
  Training ours(kind, gpu);
  CopyAll(expected, ours);

  const at::cuda::CUDAStream stream = at::cuda::getStreamFromPool();
  const c10::cuda::CUDAStreamGuard guard(stream);
  ours.Step();  // libraries and scratch memory, before the capture; rates are 0
  CopyAll(expected, ours);
  at::cuda::CUDAGraph graph;
  stream.synchronize();
  graph.capture_begin();
  ours.Step();
  graph.capture_end();

  for (int step = 0; step < 5; ++step) {
    const bool skip = step == 3;
    for (Training* training : {&expected, &ours}) {
      training->optimizer.SetRates(0.01 / (step + 1), 0.1 / (step + 1));
      training->found_inf.fill_(skip ? 1 : 0);
    }
    const std::vector<NamedTensor> all = expected.All();
    for (size_t i = 0; i < all.size(); ++i) {
      at::Tensor gradient = all[i].tensor.grad();
      gradient.normal_().mul_(step % 2 == 0 ? 1 : 0.01);
      if (skip) gradient[0].fill_(std::numeric_limits<float>::quiet_NaN());
      ours.All()[i].tensor.grad().copy_(gradient);
    }
    expected.Step();
    graph.replay();
    const std::vector<NamedTensor> wanted = Everything(expected);
    const std::vector<NamedTensor> got = Everything(ours);
    for (size_t i = 0; i < wanted.size(); ++i) {
      tally.Add(name + ", step " + std::to_string(step) + ", " + wanted[i].name,
                at::allclose(got[i].tensor.cpu(), wanted[i].tensor, 1e-4, 1e-6));
    }
    const std::vector<NamedTensor> cast = ours.Copies();
    for (size_t i = 0; i < cast.size(); ++i) {
      tally.Add(name + ", step " + std::to_string(step) + ", the copy of " + cast[i].name,
                at::equal(ours.copies[i].tensor, cast[i].tensor));
    }
  }
}

// A group's parameters: of more than one launch, some of one element or an odd number of
// them, every third one not aligned to 16 bytes, every other one with a copy.
UpdateGroup ManyParameters() {
  const at::TensorOptions on_gpu = at::device(at::kCUDA).dtype(at::kFloat);
  UpdateGroup group;
  group.state.resize(1);
  for (int64_t i = 0; i < 600; ++i) {
    const int64_t size = i % 7 == 0 ? 20000 + i : i + 1;
    const int64_t offset = i % 3 == 0 ? 1 : 0;
    const auto made = [&] { return at::randn({size + offset}, on_gpu).narrow(0, offset, size); };
    group.parameters.push_back(made());
    group.gradients.push_back(made());
    group.state[0].push_back(made());
    group.copies.push_back(i % 2 == 0 ? group.parameters.back().to(at::kBFloat16) : at::Tensor());
  }
  group.rate = at::full({}, 0.037, on_gpu);
  group.found_inf = at::zeros({}, on_gpu);
  return group;
}

std::vector<at::Tensor> Clones(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> clones;
  for (const at::Tensor& tensor : tensors) clones.push_back(tensor.clone());
  return clones;
}

int64_t Differing(const std::vector<at::Tensor>& a, const std::vector<at::Tensor>& b) {
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += a[i].ne(b[i]).sum().item<int64_t>();
  return count;
}

void CheckSgdBits(const SgdSettings& settings, Tally& tally) {
  const std::string name = "SGD with weight decay " + std::to_string(settings.weight_decay) +
                           ", momentum " + std::to_string(settings.momentum) +
                           (settings.nesterov ? ", Nesterov's" : "");
  const bool momentum = settings.momentum != 0;
  UpdateGroup ours = ManyParameters();
  const std::vector<at::Tensor> weights = Clones(ours.parameters);
  const std::vector<at::Tensor> momenta = Clones(ours.state[0]);
  for (int step = 0; step < 3; ++step) {
    SgdUpdate(ours, ours.gradients, ours.rate, settings);
    at::_fused_sgd_(weights, ours.gradients, momentum ? at::TensorList(momenta) : at::TensorList(),
                    settings.weight_decay, settings.momentum, ours.rate, /*dampening=*/0,
                    momentum && settings.nesterov,
                    /*maximize=*/false, /*is_first_step=*/false, /*grad_scale=*/{}, ours.skip());
  }
  tally.Add(name + ": weights", Differing(ours.parameters, weights) == 0);
  tally.Add(name + ": momentum", Differing(ours.state[0], momenta) == 0);
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!ours.copies[i].defined()) continue;
    tally.Add(name + ": the copy of parameter " + std::to_string(i),
              at::equal(ours.copies[i], ours.parameters[i].to(at::kBFloat16)));
  }
  ours.found_inf.fill_(1);
  SgdUpdate(ours, ours.gradients, ours.rate, settings);
  tally.Add(name + ": a step that is skipped", Differing(ours.parameters, weights) == 0);
}

}  // namespace
}  // namespace mead::train

int main() {
  using mead::train::OptimizerKind;
  mead::train::Tally tally;
  return mead::train::RunOnGpu(tally, [&] {
    const at::NoGradGuard no_grad;
    at::manual_seed(1);
    for (const OptimizerKind kind :
         {OptimizerKind::kSgd, OptimizerKind::kAdamW, OptimizerKind::kLars, OptimizerKind::kLamb}) {
      mead::train::CheckKind(kind, tally);
    }
    for (const double weight_decay : {0.0, 1e-4}) {
      for (const double momentum : {0.0, 0.9}) {
        for (const bool nesterov : {false, true}) {
          mead::train::CheckSgdBits(
              {.weight_decay = weight_decay, .momentum = momentum, .nesterov = nesterov}, tally);
        }
      }
    }
  });
}
