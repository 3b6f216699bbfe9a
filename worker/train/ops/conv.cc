#include "worker/train/ops/conv.h"

#include <torch/csrc/autograd/custom_function.h>

#include "worker/train/ops/conv_shape.h"
#include "worker/train/ops/conv_weights_cpu.h"
#include "worker/train/ops/conv_winograd_cpu.h"

namespace mead::train {
namespace {

using Context = torch::autograd::AutogradContext;
using torch::autograd::variable_list;

ConvShape ShapeOf(const at::Tensor& x, const at::Tensor& weight, int64_t stride, int64_t padding) {
  const int64_t kernel = weight.size(2);
  return {.n = x.size(0),
          .in_h = x.size(2),
          .in_w = x.size(3),
          .in_c = x.size(1),
          .out_h = (x.size(2) + 2 * padding - kernel) / stride + 1,
          .out_w = (x.size(3) + 2 * padding - kernel) / stride + 1,
          .out_c = weight.size(0),
          .kernel = kernel,
          .stride = stride,
          .padding = padding};
}

// What of a convolution the kernels of this folder compute; LibTorch the rest.
struct Ours {
  bool winograd;  // the result and both gradients
  bool weights;   // the weight's gradient, if it is not Winograd's

  bool any() const { return winograd || weights; }
};

Ours WhatIsOurs(const at::Tensor& x, const at::Tensor& weight, const ConvShape& shape) {
  const bool eligible = x.is_cpu() && x.dim() == 4 && x.scalar_type() == at::kBFloat16 &&
                        weight.scalar_type() == at::kBFloat16 && weight.size(1) == x.size(1) &&
                        weight.size(2) == weight.size(3);
  return {.winograd = eligible && ActiveWinograd() != nullptr && WinogradWins(shape),
          .weights = eligible && weight.requires_grad() && ActiveConvWeights() != nullptr &&
                     ConvWeightsSupported(shape)};
}

at::Tensor ChannelsLast(const at::Tensor& tensor) {
  return tensor.contiguous(at::MemoryFormat::ChannelsLast);
}

at::Tensor EmptyLike(const at::Tensor& tensor) {
  return at::empty(tensor.sizes(), tensor.options(), at::MemoryFormat::ChannelsLast);
}

const c10::BFloat16* In(const at::Tensor& tensor) { return tensor.const_data_ptr<c10::BFloat16>(); }
c10::BFloat16* Out(const at::Tensor& tensor) { return tensor.mutable_data_ptr<c10::BFloat16>(); }

class ConvolveFunction : public torch::autograd::Function<ConvolveFunction> {
 public:
  static at::Tensor forward(Context* context, const at::Tensor& x, const at::Tensor& weight,
                            int64_t stride, int64_t padding, bool winograd) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    context->saved_data["winograd"] = winograd;
    if (!winograd) return at::conv2d(x, weight, /*bias=*/{}, {stride, stride}, {padding, padding});
    const ConvShape shape = ShapeOf(x, weight, stride, padding);
    at::Tensor y = at::empty({shape.n, shape.out_c, shape.out_h, shape.out_w}, x.options(),
                             at::MemoryFormat::ChannelsLast);
    WinogradForward(*ActiveWinograd(), In(ChannelsLast(x)), In(ChannelsLast(weight)), shape,
                    Out(y));
    return y;
  }

  static variable_list backward(Context* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const int64_t stride = context->saved_data["stride"].toInt();
    const int64_t padding = context->saved_data["padding"].toInt();
    const bool winograd = context->saved_data["winograd"].toBool();
    const ConvShape shape = ShapeOf(x, weight, stride, padding);
    const at::Tensor dy = ChannelsLast(gradients[0]);
    at::Tensor dx, dw;
    if (context->needs_input_grad(0)) {
      if (winograd) {
        dx = EmptyLike(x);
        WinogradInputGradient(*ActiveWinograd(), In(dy), In(ChannelsLast(weight)), shape, Out(dx));
      } else {
        dx = std::get<0>(at::convolution_backward(
            dy, x, weight, /*bias_sizes=*/at::OptionalIntArrayRef(), {stride, stride},
            {padding, padding}, /*dilation=*/{1, 1}, /*transposed=*/false,
            /*output_padding=*/{0, 0}, /*groups=*/1, {true, false, false}));
      }
    }
    if (context->needs_input_grad(1)) {
      dw = EmptyLike(weight);
      const at::Tensor input = ChannelsLast(x);
      if (winograd) {
        WinogradWeightGradient(*ActiveWinograd(), In(input), In(dy), shape, Out(dw));
      } else {
        ConvWeightsOnCpu(*ActiveConvWeights(), In(input), In(dy), shape, Out(dw));
      }
    }
    return {dx, dw, {}, {}, {}};
  }
};

}  // namespace

at::Tensor Convolve(const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                    int64_t padding) {
  const Ours ours = WhatIsOurs(x, weight, ShapeOf(x, weight, stride, padding));
  if (ours.any()) return ConvolveFunction::apply(x, weight, stride, padding, ours.winograd);
  return at::conv2d(x, weight, /*bias=*/{}, {stride, stride}, {padding, padding});
}

}  // namespace mead::train
