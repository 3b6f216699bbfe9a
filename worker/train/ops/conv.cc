#include "worker/train/ops/conv.h"

#include <torch/csrc/autograd/custom_function.h>

#include <array>

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

class ConvolveFunction : public torch::autograd::Function<ConvolveFunction> {
 public:
  static at::Tensor forward(Context* context, const at::Tensor& x, const at::Tensor& weight,
                            int64_t stride, int64_t padding) {
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    return at::conv2d(x, weight, /*bias=*/{}, {stride, stride}, {padding, padding});
  }

  static variable_list backward(Context* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const int64_t stride = context->saved_data["stride"].toInt();
    const int64_t padding = context->saved_data["padding"].toInt();
    const at::Tensor dy = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor dx, dw;
    if (context->needs_input_grad(0)) {
      dx = std::get<0>(at::convolution_backward(
          dy, x, weight, /*bias_sizes=*/at::OptionalIntArrayRef(), {stride, stride},
          {padding, padding}, /*dilation=*/{1, 1}, /*transposed=*/false, /*output_padding=*/{0, 0},
          /*groups=*/1, {true, false, false}));
    }
    if (context->needs_input_grad(1)) {
      dw = at::empty(weight.sizes(), weight.options(), at::MemoryFormat::ChannelsLast);
      const at::Tensor input = x.contiguous(at::MemoryFormat::ChannelsLast);
      ConvWeightsOnCpu(*ActiveConvWeights(), input.data_ptr<c10::BFloat16>(),
                       dy.data_ptr<c10::BFloat16>(), ShapeOf(x, weight, stride, padding),
                       dw.data_ptr<c10::BFloat16>());
    }
    return {dx, dw, {}, {}};
  }
};

}  // namespace

bool ConvWeightsWin(const ConvShape& shape) { return ConvWeightsSupported(shape); }

at::Tensor Convolve(const at::Tensor& x, const at::Tensor& weight, int64_t stride,
                    int64_t padding) {
  const bool ours = x.is_cpu() && x.dim() == 4 && x.scalar_type() == at::kBFloat16 &&
                    weight.scalar_type() == at::kBFloat16 && weight.size(1) == x.size(1) &&
                    weight.size(2) == weight.size(3) && weight.requires_grad() &&
                    ActiveConvWeights() != nullptr &&
                    ConvWeightsWin(ShapeOf(x, weight, stride, padding));
  if (ours) return ConvolveFunction::apply(x, weight, stride, padding);
  return at::conv2d(x, weight, /*bias=*/{}, {stride, stride}, {padding, padding});
}

}  // namespace mead::train
