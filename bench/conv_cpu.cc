// Convolutions in bfloat16 on the CPU, against LibTorch's (oneDNN's) of the same work.
//
// conv_cpu [THREADS [ROUNDS]]   (2, 15)
// For every shape of ResNet-50's blocks at 224 px, batch 16: milliseconds of the result, the
// gradient of the input and that of the weight, and the GFLOP/s that the plain sum would need for
// that time: 3x3 convolutions of ours do fewer multiplications. Last, the sums over one step.
//
// Through the operator that training uses, whichever kernels it takes. The sides run in turns;
// each time is the median of the rounds. Before each, other memory goes through the caches, as in
// a step.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#include "worker/train/ops/conv.h"

namespace mead::train {
namespace {

constexpr int64_t kBatch = 16;
constexpr int64_t kCacheBytes = 96 << 20;  // several third-level caches

// side: height and width of the input. count: how many of them a ResNet-50 has.
struct Case {
  int64_t in, out, kernel, stride, side;
  int count;
};
constexpr Case kCases[] = {
    {64, 64, 1, 1, 56, 1},    {64, 64, 3, 1, 56, 3},     {64, 256, 1, 1, 56, 4},
    {256, 64, 1, 1, 56, 2},   {256, 128, 1, 1, 56, 1},   {128, 128, 3, 2, 56, 1},
    {128, 512, 1, 1, 28, 4},  {256, 512, 1, 2, 56, 1},   {512, 128, 1, 1, 28, 3},
    {128, 128, 3, 1, 28, 3},  {512, 256, 1, 1, 28, 1},   {256, 256, 3, 2, 28, 1},
    {256, 1024, 1, 1, 14, 6}, {512, 1024, 1, 2, 28, 1},  {1024, 256, 1, 1, 14, 5},
    {256, 256, 3, 1, 14, 5},  {1024, 512, 1, 1, 14, 1},  {512, 512, 3, 2, 14, 1},
    {512, 2048, 1, 1, 7, 3},  {1024, 2048, 1, 2, 14, 1}, {2048, 512, 1, 1, 7, 2},
    {512, 512, 3, 1, 7, 2},
};

at::Tensor Random(at::IntArrayRef sizes) {
  return at::randn(sizes).to(at::kBFloat16).contiguous(at::MemoryFormat::ChannelsLast);
}

using Work = std::function<void()>;

double Milliseconds(const Work& work) {
  static const at::Tensor other = at::zeros({kCacheBytes}, at::kByte);
  other.add_(1);
  const auto start = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

struct Sides {
  double ours, torchs;  // ms
};

Sides Medians(const Work& ours, const Work& torchs, int rounds) {
  std::vector<double> times[2];
  for (int round = -1; round < rounds; ++round) {
    const double a = Milliseconds(ours);
    const double b = Milliseconds(torchs);
    if (round < 0) continue;  // to warm up
    times[0].push_back(a);
    times[1].push_back(b);
  }
  for (std::vector<double>& side : times) std::sort(side.begin(), side.end());
  return {times[0][times[0].size() / 2], times[1][times[1].size() / 2]};
}

// Result, gradient of the input, gradient of the weight.
std::array<Sides, 3> Measure(const Case& c, int rounds) {
  const int64_t padding = c.kernel / 2;
  const at::Tensor x = Random({kBatch, c.in, c.side, c.side});
  const at::Tensor weight = Random({c.out, c.in, c.kernel, c.kernel});
  const at::Tensor own_x = x.detach().requires_grad_(true);
  const at::Tensor own_weight = weight.detach().requires_grad_(true);
  const at::Tensor of_x = Convolve(own_x, weight, c.stride, padding);
  const at::Tensor of_weight = Convolve(x, own_weight, c.stride, padding);
  const at::Tensor dy = Random(of_x.sizes());
  const auto gradient = [&](const at::Tensor& y, const at::Tensor& of) {
    return [=] { torch::autograd::grad({y}, {of}, {dy}, /*retain_graph=*/true); };
  };
  const auto torch_gradient = [&](bool of_input) {
    return [=] {
      at::convolution_backward(dy, x, weight, /*bias_sizes=*/at::OptionalIntArrayRef(),
                               {c.stride, c.stride}, {padding, padding}, /*dilation=*/{1, 1},
                               /*transposed=*/false, /*output_padding=*/{0, 0}, /*groups=*/1,
                               {of_input, !of_input, false});
    };
  };
  const Work forward = [&] {
    const at::NoGradGuard no_grad;
    Convolve(x, weight, c.stride, padding);
  };
  const Work torch_forward = [&] {
    const at::NoGradGuard no_grad;
    at::conv2d(x, weight, /*bias=*/{}, {c.stride, c.stride}, {padding, padding});
  };
  return {Medians(forward, torch_forward, rounds),
          Medians(gradient(of_x, own_x), torch_gradient(true), rounds),
          Medians(gradient(of_weight, own_weight), torch_gradient(false), rounds)};
}

void Run(int threads, int rounds) {
  at::set_num_threads(threads);
  std::printf("%d threads, batch %ld, median of %d rounds; ms (GFLOP/s), LibTorch's ms (GFLOP/s)\n",
              threads, static_cast<long>(kBatch), rounds);
  std::printf("%-26s%3s   %-30s%-30s%s\n", "convolution", "n", "result", "input's gradient",
              "weight's gradient");
  Sides step{};
  for (const Case& c : kCases) {
    const int64_t side = c.side / c.stride;
    const double gflop =
        2e-9 * static_cast<double>(kBatch * side * side * c.in * c.out * c.kernel * c.kernel);
    std::printf("%4ld to %4ld  %ldx%ld/%ld  %3ld %3d  ", static_cast<long>(c.in),
                static_cast<long>(c.out), static_cast<long>(c.kernel), static_cast<long>(c.kernel),
                static_cast<long>(c.stride), static_cast<long>(c.side), c.count);
    for (const Sides& sides : Measure(c, rounds)) {
      std::printf(" %6.2f (%4.0f), %6.2f (%4.0f)  ", sides.ours, gflop / sides.ours * 1e3,
                  sides.torchs, gflop / sides.torchs * 1e3);
      step.ours += c.count * sides.ours;
      step.torchs += c.count * sides.torchs;
    }
    std::printf("\n");
    std::fflush(stdout);
  }
  std::printf("one step: %.1f ms, LibTorch %.1f ms\nratio conv_cpu/resnet50-224 %.3f\n", step.ours,
              step.torchs, step.torchs / step.ours);
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : 2;
  const int rounds = argc > 2 ? std::atoi(argv[2]) : 15;
  if (argc > 3 || threads < 1 || rounds < 1) {
    std::fprintf(stderr, "usage: conv_cpu [THREADS [ROUNDS]], both from 1\n");
    return 2;
  }
  mead::train::Run(threads, rounds);
  return 0;
}
