// Fused normalisation passes on one GPU, against the device's own copy and LibTorch.
//
// norm_gpu [BATCH]   (256)
// For every shape of ResNet-50 at 224 px in bfloat16: microseconds of each pass, the
// bytes that it must move per second, and those as a share of a large copy in the same
// run; beside it LibTorch's forward (batch-norm, addition, ReLU) and backward of the same
// work. Last, the sums over one training step.
//
// All sides run as CUDA graphs, over as many sets of tensors as exceed the L2 cache.
// A block's output goes two ways, so the gradient of a residual layer is the sum of two
// tensors: ours adds them in BackwardSums, LibTorch's side before it.
#include "worker/train/ops/norm_gpu.h"

#include <ATen/ATen.h>
#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <functional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "worker/train/ops/pool_norm_gpu.h"

namespace mead::train {
namespace {

using at::Tensor;
using Element = c10::BFloat16;

constexpr double kEpsilon = 1e-5;
constexpr double kMomentum = 0.1;
constexpr double kCacheBytes = 256e6;  // several L2 caches

enum class Layer { kPlain, kRelu, kResidual, kStem };
constexpr std::array<const char*, 4> kLayerNames = {"plain", "relu", "residual", "stem"};

// side: height and width. count: how many of them a ResNet-50 has.
struct Case {
  Layer layer;
  int64_t side;
  int64_t channels;
  int count;
};
constexpr Case kCases[] = {
    {Layer::kStem, 112, 64, 1},     {Layer::kRelu, 56, 64, 6},       {Layer::kResidual, 56, 256, 3},
    {Layer::kPlain, 56, 256, 1},    {Layer::kRelu, 56, 128, 1},      {Layer::kRelu, 28, 128, 7},
    {Layer::kResidual, 28, 512, 4}, {Layer::kPlain, 28, 512, 1},     {Layer::kRelu, 28, 256, 1},
    {Layer::kRelu, 14, 256, 11},    {Layer::kResidual, 14, 1024, 6}, {Layer::kPlain, 14, 1024, 1},
    {Layer::kRelu, 14, 512, 1},     {Layer::kRelu, 7, 512, 5},       {Layer::kResidual, 7, 2048, 3},
    {Layer::kPlain, 7, 2048, 1},
};

void Check(int error) {
  if (error != cudaSuccess) {
    throw std::runtime_error(cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
}

void* Stream() { return c10::cuda::getCurrentCUDAStream().stream(); }

// Median of microseconds per call of work(set).
double Microseconds(int sets, const std::function<void(int)>& work) {
  constexpr int kSamples = 15;
  const int calls = std::max(sets, 4);
  Check(cudaDeviceSynchronize());  // the tensors were made on another stream
  const auto stream = c10::cuda::getStreamFromPool();
  const c10::cuda::CUDAStreamGuard guard(stream);
  for (int set = 0; set < sets; ++set) work(set);
  Check(cudaStreamSynchronize(stream.stream()));
  at::cuda::CUDAGraph graph;
  graph.capture_begin();
  for (int call = 0; call < calls; ++call) work(call % sets);
  graph.capture_end();
  cudaEvent_t start = nullptr;
  cudaEvent_t end = nullptr;
  Check(cudaEventCreate(&start));
  Check(cudaEventCreate(&end));
  std::vector<float> milliseconds(kSamples);
  graph.replay();
  for (float& sample : milliseconds) {
    Check(cudaEventRecord(start, stream.stream()));
    graph.replay();
    Check(cudaEventRecord(end, stream.stream()));
    Check(cudaEventSynchronize(end));
    Check(cudaEventElapsedTime(&sample, start, end));
  }
  Check(cudaEventDestroy(start));
  Check(cudaEventDestroy(end));
  std::nth_element(milliseconds.begin(), milliseconds.begin() + kSamples / 2, milliseconds.end());
  return 1e3 * static_cast<double>(milliseconds[kSamples / 2]) / calls;
}

// Bytes read and written per second by a copy of 1 GiB.
double CopyRate() {
  const Tensor from = at::randn({1 << 28}, at::dtype(at::kFloat).device(at::kCUDA));
  const Tensor to = at::empty_like(from);
  const double bytes = 2.0 * static_cast<double>(from.nbytes());
  return bytes / (1e-6 * Microseconds(1, [&](int) { to.copy_(from); }));
}

// Tensors of one layer; [N, C, H, W] in channels_last, bfloat16.
struct Tensors {
  Tensor x, residual, y, dy, dy2, dz, dx;
  Tensor mask;  // uint8: a bit per element, or a winner per pooled one
};

struct StepTimes {
  double ours = 0;
  double torchs = 0;
  double least = 0;  // at the rate of a copy
};

class LayerBench {
 public:
  LayerBench(const Case& layer, int64_t batch, double copy_rate, StepTimes& step)
      : case_(layer), batch_(batch), copy_rate_(copy_rate), step_(step) {
    const auto sums = at::dtype(at::kFloat).device(at::kCUDA);
    for (Tensor* values : {&mean_, &inverse_, &running_mean_, &dgamma_, &dbeta_}) {
      *values = at::zeros({layer.channels}, sums);
    }
    running_var_ = at::ones({layer.channels}, sums);
    gamma_ = at::rand({layer.channels}, sums) + 0.5;
    beta_ = at::randn({layer.channels}, sums);
    scratch_ = at::zeros({static_cast<int64_t>(NormGpuScratchBytes(layer.channels))},
                         at::dtype(at::kByte).device(at::kCUDA));
    const double bytes = 2.0 * static_cast<double>(Elements());
    sets_ = std::clamp(static_cast<int>(kCacheBytes / (4 * bytes)) + 1, 1, 8);
    for (int set = 0; set < sets_; ++set) sets_of_tensors_.push_back(Make());
  }

  void Run() {
    std::printf("%s %lldx%lld, %d of them\n", kLayerNames[static_cast<size_t>(case_.layer)],
                static_cast<long long>(shape().rows), static_cast<long long>(case_.channels),
                case_.count);
    double forward = Ours("statistics", 2, [&](Tensors& t) { Statistics(t); });
    forward += Ours("apply", ApplyBytes(), [&](Tensors& t) { Apply(t); });
    double backward = Ours("backward sums", SumsBytes(), [&](Tensors& t) { Sums(t); });
    backward += Ours("backward apply", BackwardApplyBytes(), [&](Tensors& t) { BackwardApply(t); });
    const double torch_forward =
        Microseconds(sets_, [&](int set) { TorchForward(sets_of_tensors_[Index(set)]); });
    const double torch_backward = TorchBackward();
    std::printf("  forward  %8.1f us, LibTorch %8.1f us: %4.2f x\n", forward, torch_forward,
                torch_forward / forward);
    std::printf("  backward %8.1f us, LibTorch %8.1f us: %4.2f x\n", backward, torch_backward,
                torch_backward / backward);
    std::fflush(stdout);
    step_.ours += case_.count * (forward + backward);
    step_.torchs += case_.count * (torch_forward + torch_backward);
  }

 private:
  static size_t Index(int set) { return static_cast<size_t>(set); }
  bool stem() const { return case_.layer == Layer::kStem; }
  bool residual() const { return case_.layer == Layer::kResidual; }
  bool relu() const { return case_.layer != Layer::kPlain; }
  NormShape shape() const { return {batch_ * case_.side * case_.side, case_.channels}; }
  PoolNormShape pool_shape() const { return {batch_, case_.side, case_.side, case_.channels}; }
  int64_t Elements() const { return shape().rows * shape().channels; }

  // Bytes that must move per element of x.
  double ApplyBytes() const { return stem() ? 2.75 : residual() ? 6.125 : 4; }
  double SumsBytes() const { return stem() ? 2.75 : residual() ? 8.125 : 4; }
  double BackwardApplyBytes() const { return stem() ? 4.75 : 6; }

  NormCoefficients<float> coefficients() const {
    return {mean_.data_ptr<float>(), inverse_.data_ptr<float>(), gamma_.data_ptr<float>(),
            beta_.data_ptr<float>()};
  }

  Tensors Make() const {
    const int64_t out = stem() ? (case_.side + 1) / 2 : case_.side;
    auto random = [&](int64_t side) {
      return at::randn({batch_, case_.channels, side, side},
                       at::dtype(at::kBFloat16).device(at::kCUDA))
          .contiguous(at::MemoryFormat::ChannelsLast);
    };
    Tensors t;
    t.x = random(case_.side);
    t.dx = random(case_.side);
    t.y = random(out);
    t.dy = random(out);
    if (residual()) {
      t.residual = random(out);
      t.dy2 = random(out);
      t.dz = random(out);
    }
    t.mask =
        at::zeros({stem() ? t.y.numel() : t.y.numel() / 8}, at::dtype(at::kByte).device(at::kCUDA));
    return t;
  }

  static Element* Data(const Tensor& tensor) { return tensor.data_ptr<Element>(); }
  uint8_t* Mask(const Tensors& t) const {
    return residual() ? t.mask.data_ptr<uint8_t>() : nullptr;
  }

  // Prints and returns microseconds.
  double Ours(const char* pass, double bytes_per_element,
              const std::function<void(Tensors&)>& work) {
    const double time = Microseconds(sets_, [&](int set) { work(sets_of_tensors_[Index(set)]); });
    const double bytes = bytes_per_element * static_cast<double>(Elements());
    const double rate = bytes / (1e-6 * time);
    step_.least += case_.count * 1e6 * bytes / copy_rate_;
    std::printf("  %-15s %8.1f us %7.0f GB/s %4.0f %% of a copy\n", pass, time, 1e-9 * rate,
                100 * rate / copy_rate_);
    return time;
  }

  void Statistics(Tensors& t) {
    Check(NormStatisticsOnGpu<Element>(
        Data(t.x), shape(), static_cast<float>(kEpsilon),
        {running_mean_.data_ptr<float>(), running_var_.data_ptr<float>(),
         static_cast<float>(kMomentum)},
        mean_.data_ptr<float>(), inverse_.data_ptr<float>(), scratch_.data_ptr(), Stream()));
  }
  void Apply(Tensors& t) {
    if (stem()) {
      Check(PoolNormApplyOnGpu<Element>(Data(t.x), pool_shape(), coefficients(), Data(t.y),
                                        t.mask.data_ptr<uint8_t>(), Stream()));
    } else {
      Check(NormApplyOnGpu<Element>(Data(t.x), residual() ? Data(t.residual) : nullptr, shape(),
                                    coefficients(), relu(), Data(t.y), Mask(t), Stream()));
    }
  }
  void Sums(Tensors& t) {
    if (stem()) {
      Check(PoolNormBackwardSumsOnGpu<Element>(
          Data(t.dy), t.mask.data_ptr<uint8_t>(), Data(t.x), pool_shape(), coefficients(),
          dgamma_.data_ptr<float>(), dbeta_.data_ptr<float>(), scratch_.data_ptr(), Stream()));
    } else {
      Check(NormBackwardSumsOnGpu<Element>(
          Data(t.dy), residual() ? Data(t.dy2) : nullptr, Data(t.x), Mask(t), shape(),
          coefficients(), relu(), dgamma_.data_ptr<float>(), dbeta_.data_ptr<float>(),
          residual() ? Data(t.dz) : nullptr, scratch_.data_ptr(), Stream()));
    }
  }
  void BackwardApply(Tensors& t) {
    if (stem()) {
      Check(PoolNormBackwardApplyOnGpu<Element>(
          Data(t.dy), t.mask.data_ptr<uint8_t>(), Data(t.x), pool_shape(), coefficients(),
          dgamma_.data_ptr<float>(), dbeta_.data_ptr<float>(), Data(t.dx), Stream()));
    } else {
      Check(NormBackwardApplyOnGpu<Element>(residual() ? Data(t.dz) : Data(t.dy), Data(t.x),
                                            nullptr, shape(), coefficients(), relu() && !residual(),
                                            dgamma_.data_ptr<float>(), dbeta_.data_ptr<float>(),
                                            Data(t.dx), nullptr, Stream()));
    }
  }

  // What autograd runs: batch_norm's implementation of LibTorch's own choice.
  std::tuple<Tensor, Tensor, Tensor, Tensor, int64_t> TorchNorm(const Tensors& t) {
    return at::_batch_norm_impl_index(t.x, gamma_, beta_, running_mean_, running_var_, true,
                                      kMomentum, kEpsilon, true);
  }
  void TorchForward(const Tensors& t) {
    Tensor y = std::get<0>(TorchNorm(t));
    if (residual()) y.add_(t.residual);
    if (relu()) y.relu_();
    if (stem()) at::max_pool2d_with_indices(y, {3, 3}, {2, 2}, {1, 1});
  }
  double TorchBackward() {
    const auto [out, mean, inverse, reserve, implementation] = TorchNorm(sets_of_tensors_[0]);
    Tensor indices;
    if (stem()) {
      indices = std::get<1>(at::max_pool2d_with_indices(out, {3, 3}, {2, 2}, {1, 1}));
    }
    return Microseconds(sets_, [&](int set) {
      const Tensors& t = sets_of_tensors_[Index(set)];
      Tensor gradient = t.dy;
      if (stem()) {
        gradient = at::max_pool2d_with_indices_backward(gradient, out, {3, 3}, {2, 2}, {1, 1},
                                                        {1, 1}, false, indices);
        gradient = at::threshold_backward(gradient, out, 0);
      } else if (relu()) {
        if (residual()) gradient = at::add(gradient, t.dy2);
        gradient = at::threshold_backward(gradient, t.y, 0);
      }
      at::_batch_norm_impl_index_backward(implementation, t.x, gradient, gamma_, running_mean_,
                                          running_var_, mean, inverse, true, kEpsilon,
                                          {true, true, true}, reserve);
    });
  }

  const Case case_;
  const int64_t batch_;
  const double copy_rate_;
  StepTimes& step_;
  int sets_ = 1;
  std::vector<Tensors> sets_of_tensors_;
  Tensor mean_, inverse_, running_mean_, running_var_, gamma_, beta_, dgamma_, dbeta_;  // [C]
  Tensor scratch_;
};

void Run(int64_t batch) {
  cudaDeviceProp device;
  Check(cudaGetDeviceProperties(&device, 0));
  const double copy_rate = CopyRate();
  std::printf("%s, a copy moves %.0f GB/s; batch %lld\n", device.name, 1e-9 * copy_rate,
              static_cast<long long>(batch));
  StepTimes step;
  for (const Case& layer : kCases) LayerBench(layer, batch, copy_rate, step).Run();
  std::printf("ResNet-50, one step: %.2f ms, LibTorch %.2f ms, at a copy's rate %.2f ms\n",
              1e-3 * step.ours, 1e-3 * step.torchs, 1e-3 * step.least);
  std::printf("ratio norm_gpu/resnet50-224 %.3f\n", step.torchs / step.ours);
}

}  // namespace
}  // namespace mead::train

int main(int argc, char** argv) {
  try {
    mead::train::Run(argc > 1 ? std::stoll(argv[1]) : 256);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "norm_gpu: %s\n", error.what());
    return 1;
  }
  return 0;
}
