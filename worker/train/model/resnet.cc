#include "worker/train/model/resnet.h"

#include <ATen/CPUGeneratorImpl.h>

#include <array>
#include <cmath>
#include <string_view>

#include "worker/train/ops/conv.h"

namespace mead::train {
namespace {

struct Architecture {
  std::string_view name;
  bool bottleneck;
  std::array<int, 4> blocks;  // per stage
};

constexpr std::array<Architecture, 5> kArchitectures = {{{"resnet18", false, {2, 2, 2, 2}},
                                                         {"resnet34", false, {3, 4, 6, 3}},
                                                         {"resnet50", true, {3, 4, 6, 3}},
                                                         {"resnet101", true, {3, 4, 23, 3}},
                                                         {"resnet152", true, {3, 8, 36, 3}}}};

const Architecture& FindArchitecture(const std::string& name) {
  std::string known;
  for (const Architecture& architecture : kArchitectures) {
    if (architecture.name == name) return architecture;
    known += (known.empty() ? "" : ", ") + std::string(architecture.name);
  }
  throw TrainError(ErrorKind::kUserError,
                   "model '" + name + "' is not known; expected one of: " + known);
}

}  // namespace

// Makes and registers tensors. Random values come from the CPU generator, so
// that the device does not change them.
struct ResNet::Builder {
  ResNet& net;
  at::Device device;
  at::ScalarType compute;
  bool stride_in_first;
  at::Generator generator;

  // Returns what forward reads.
  at::Tensor Parameter(const std::string& name, at::Tensor value) {
    const auto format =
        value.dim() == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::Contiguous;
    value = value.to(device).contiguous(format);
    net.parameters_.push_back({name, value});
    net.working_.push_back(value.set_requires_grad(true));
    return value;
  }

  // A parameter of matrix products, which are computed in the compute type.
  at::Tensor Weight(const std::string& name, at::Tensor initial) {
    const at::Tensor value = Parameter(name, std::move(initial));
    if (compute == at::kFloat) return value;
    value.set_requires_grad(false);
    const at::Tensor copy = value.to(compute).set_requires_grad(true);
    net.working_.back() = copy;
    return copy;
  }

  at::Tensor Buffer(const std::string& name, const at::Tensor& value) {
    net.buffers_.push_back({name, value.to(device)});
    return net.buffers_.back().tensor;
  }

  ConvNorm Layer(const std::string& conv, const std::string& norm, int64_t in, int64_t out,
                 int64_t kernel, int64_t stride) {
    ConvNorm layer;
    layer.stride = stride;
    layer.padding = kernel / 2;
    // Kaiming normal, fan_out, for ReLU.
    const double deviation = std::sqrt(2.0 / static_cast<double>(out * kernel * kernel));
    layer.weight = Weight(conv + ".weight",
                          at::empty({out, in, kernel, kernel}).normal_(0, deviation, generator));
    layer.norm.gamma = Parameter(norm + ".weight", at::ones({out}));
    layer.norm.beta = Parameter(norm + ".bias", at::zeros({out}));
    layer.norm.mean = Buffer(norm + ".running_mean", at::zeros({out}));
    layer.norm.var = Buffer(norm + ".running_var", at::ones({out}));
    net.batches_tracked_.push_back(Buffer(norm + ".num_batches_tracked", at::zeros({}, at::kLong)));
    return layer;
  }

  Block MakeBlock(const std::string& name, bool bottleneck, int64_t in, int64_t width,
                  int64_t stride) {
    Block block;
    auto layer = [&](int index, int64_t from, int64_t to, int64_t kernel, int64_t step) {
      const std::string number = std::to_string(index);
      block.layers.push_back(
          Layer(name + ".conv" + number, name + ".bn" + number, from, to, kernel, step));
    };
    const int64_t out = bottleneck ? 4 * width : width;
    if (bottleneck) {
      layer(1, in, width, 1, stride_in_first ? stride : 1);
      layer(2, width, width, 3, stride_in_first ? 1 : stride);
      layer(3, width, out, 1, 1);
    } else {
      layer(1, in, width, 3, stride);
      layer(2, width, width, 3, 1);
    }
    if (stride != 1 || in != out) {
      block.downsample = Layer(name + ".downsample.0", name + ".downsample.1", in, out, 1, stride);
    }
    return block;
  }
};

ResNet::ResNet(const Options& options) {
  const Architecture& architecture = FindArchitecture(options.model);
  Builder build{*this, options.device, options.compute, options.stride_in_first,
                at::detail::createCPUGenerator(options.seed)};
  stem_ = build.Layer("conv1", "bn1", 3, 64, 7, 2);
  int64_t in = 64;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = int64_t{64} << stage;
    for (int i = 0; i < architecture.blocks[static_cast<size_t>(stage)]; ++i) {
      const std::string name = "layer" + std::to_string(stage + 1) + "." + std::to_string(i);
      const int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      blocks_.push_back(build.MakeBlock(name, architecture.bottleneck, in, width, stride));
      in = architecture.bottleneck ? 4 * width : width;
    }
  }
  // torch.nn.Linear's initialisation.
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  fc_weight_ = build.Weight(
      "fc.weight", at::empty({options.num_classes, in}).uniform_(-bound, bound, build.generator));
  fc_bias_ = build.Weight(
      "fc.bias", at::empty({options.num_classes}).uniform_(-bound, bound, build.generator));
}

std::vector<NamedTensor> ResNet::copies() const {
  std::vector<NamedTensor> copies;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (working_[i].is_same(parameters_[i].tensor)) continue;
    copies.push_back({parameters_[i].name, working_[i]});
  }
  return copies;
}

void ResNet::RefreshWorking() {
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < parameters_.size(); ++i) {
    if (!working_[i].is_same(parameters_[i].tensor)) working_[i].copy_(parameters_[i].tensor);
  }
}

int64_t ResNet::parameter_count() const {
  int64_t count = 0;
  for (const NamedTensor& parameter : parameters_) count += parameter.tensor.numel();
  return count;
}

at::Tensor ResNet::Convolve(const ConvNorm& layer, const at::Tensor& x) {
  return train::Convolve(x, layer.weight, layer.stride, layer.padding);
}

Fork ResNet::Apply(const Block& block, const Fork& x, NormStatistics statistics) {
  at::Tensor y = x.into;
  for (size_t i = 0; i + 1 < block.layers.size(); ++i) {
    y = NormAct(Convolve(block.layers[i], y), block.layers[i].norm, statistics, Activation::kRelu);
  }
  const at::Tensor shortcut = block.downsample
                                  ? NormAct(Convolve(*block.downsample, x.past),
                                            block.downsample->norm, statistics, Activation::kNone)
                                  : x.past;
  const ConvNorm& last = block.layers.back();
  return NormAddRelu(Convolve(last, y), last.norm, statistics, shortcut);
}

at::Tensor ResNet::Forward(const at::Tensor& images, NormStatistics statistics) {
  const at::Tensor stem =
      NormReluPool(Convolve(stem_, images), stem_.norm, statistics);  // [N, 64, H/4, W/4]
  Fork x{.into = stem, .past = stem};
  for (const Block& block : blocks_) x = Apply(block, x, statistics);
  const at::Tensor features = at::adaptive_avg_pool2d(x.into, {1, 1}).flatten(1);  // [N, features]
  if (statistics == NormStatistics::kBatch) {
    at::NoGradGuard no_grad;
    at::_foreach_add_(batches_tracked_, 1);
  }
  return at::linear(features, fc_weight_, fc_bias_);  // [N, classes]
}

}  // namespace mead::train
