// Residual networks (18, 34, 50, 101, 152 layers) with torchvision's parameter
// names, shapes, order and initialisation.
//
// Written on at:: functions rather than torch::nn: the layers are few, batch-norm,
// addition and ReLU are one operator of ours, and a file compiles in half the time.
// Precision: parameters are float32. With compute in bfloat16 the weights of
//         convolutions and of the classifier have working copies in bfloat16,
//         written once per step; forward reads those and gradients arrive at them.
// Shape:  input [N, 3, H, W], normalised RGB, channels_last, in the compute type;
//         output [N, classes], likewise.
// Source: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016;
//         torchvision.models.resnet ("v1.5": the stride is in the 3x3 convolution; "v1" has
//         it in the 1x1 before).
// Thread: not thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "worker/train/ops/norm_act.h"
#include "worker/train/tensors.h"

namespace mead::train {

class ResNet {
 public:
  struct Options {
    std::string model = "resnet50";
    int num_classes = 1000;
    uint64_t seed = 1;  // the same seed gives the same weights on every device
    at::Device device = at::kCPU;
    at::ScalarType compute = at::kFloat;  // or at::kBFloat16
    bool stride_in_first = false;         // of a bottleneck's convolutions; false: in its 3x3
  };
  // Errors: kUserError (no such model; names those there are).
  explicit ResNet(const Options& options);

  at::Tensor Forward(const at::Tensor& images, NormStatistics statistics);

  // The working copies take the parameters' values: after these have been replaced. An
  // optimizer step writes both.
  void RefreshWorking();

  // In torchvision's order. Names: "conv1.weight", "layer1.0.bn2.bias", "fc.weight", ...
  const std::vector<NamedTensor>& parameters() const { return parameters_; }
  // What forward reads, by parameter: its working copy, or the parameter itself.
  // Leaves of the graph: gradients arrive here.
  const std::vector<at::Tensor>& working() const { return working_; }
  // The working copies that there are, by their parameters' names.
  std::vector<NamedTensor> copies() const;
  // running_mean, running_var (float32) and num_batches_tracked (int64).
  const std::vector<NamedTensor>& buffers() const { return buffers_; }
  int64_t parameter_count() const;

 private:
  // A convolution without bias, then batch-norm.
  struct ConvNorm {
    at::Tensor weight;  // [out, in, k, k], channels_last, working
    int64_t stride = 1;
    int64_t padding = 0;
    BatchNorm norm;
  };
  struct Block {
    std::vector<ConvNorm> layers;  // 3x3, 3x3 (basic) or 1x1, 3x3, 1x1 (bottleneck)
    std::optional<ConvNorm> downsample;
  };
  struct Builder;

  static at::Tensor Convolve(const ConvNorm& layer, const at::Tensor& x);
  static Fork Apply(const Block& block, const Fork& x, NormStatistics statistics);

  ConvNorm stem_;
  std::vector<Block> blocks_;
  at::Tensor fc_weight_, fc_bias_;  // [classes, features], [classes], working
  std::vector<NamedTensor> parameters_;
  std::vector<NamedTensor> buffers_;
  std::vector<at::Tensor> working_;
  std::vector<at::Tensor> batches_tracked_;
};

}  // namespace mead::train
