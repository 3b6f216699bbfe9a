#include "worker/train/ops/conv.h"

#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>

#include "worker/train/ops/conv_pointwise_cpu.h"
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

// Who computes the result and the gradient of the input.
enum class Way : int64_t { kLibTorch, kPointwise, kWinograd };

bool IsForOurs(const at::Tensor& x, const at::Tensor& weight) {
  return x.is_cpu() && x.dim() == 4 && x.scalar_type() == at::kBFloat16 &&
         weight.scalar_type() == at::kBFloat16 && weight.size(1) == x.size(1) &&
         weight.size(2) == weight.size(3);
}

Way WayOf(const ConvShape& shape) {
  if (ActiveWinograd() != nullptr && WinogradWins(shape)) return Way::kWinograd;
  if (ActivePointwise() != nullptr && PointwiseWins(shape)) return Way::kPointwise;
  return Way::kLibTorch;
}

// Whether the weight's gradient is ours, which is Winograd's if the rest is.
bool WeightGradientIsOurs(const ConvShape& shape) {
  return ActiveConvWeights() != nullptr && ConvWeightsSupported(shape);
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
                            int64_t stride, int64_t padding, Way way) {
    RECORD_USER_SCOPE("mead::convolve");
    context->save_for_backward({x, weight});
    context->saved_data["stride"] = stride;
    context->saved_data["padding"] = padding;
    context->saved_data["way"] = static_cast<int64_t>(way);
    if (way == Way::kLibTorch) {
      return at::conv2d(x, weight, /*bias=*/{}, {stride, stride}, {padding, padding});
    }
    const ConvShape shape = ShapeOf(x, weight, stride, padding);
    const at::Tensor input = ChannelsLast(x);
    const at::Tensor taps = ChannelsLast(weight);
    at::Tensor y = at::empty({shape.n, shape.out_c, shape.out_h, shape.out_w}, x.options(),
                             at::MemoryFormat::ChannelsLast);
    if (way == Way::kWinograd) {
      WinogradForward(*ActiveWinograd(), In(input), In(taps), shape, Out(y));
    } else {
      PointwiseForward(*ActivePointwise(), In(input), In(taps), shape, Out(y));
    }
    return y;
  }

  static variable_list backward(Context* context, const variable_list& gradients) {
    const variable_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const int64_t stride = context->saved_data["stride"].toInt();
    const int64_t padding = context->saved_data["padding"].toInt();
    const auto way = static_cast<Way>(context->saved_data["way"].toInt());
    const ConvShape shape = ShapeOf(x, weight, stride, padding);
    const at::Tensor dy = ChannelsLast(gradients[0]);
    const bool dx_needed = context->needs_input_grad(0);
    const bool dw_needed = context->needs_input_grad(1);
    const bool dx_ours = dx_needed && way != Way::kLibTorch;
    const bool dw_ours = dw_needed && (way == Way::kWinograd || WeightGradientIsOurs(shape));
    at::Tensor dx, dw;
    if (dx_needed > dx_ours || dw_needed > dw_ours) {
      std::tie(dx, dw, std::ignore) = at::convolution_backward(
          dy, x, weight, /*bias_sizes=*/at::OptionalIntArrayRef(), {stride, stride},
          {padding, padding}, /*dilation=*/{1, 1}, /*transposed=*/false, /*output_padding=*/{0, 0},
          /*groups=*/1, {dx_needed && !dx_ours, dw_needed && !dw_ours, false});
    }
    if (dx_ours) {
      dx = EmptyLike(x);
      const at::Tensor taps = ChannelsLast(weight);
      if (way == Way::kWinograd) {
        WinogradInputGradient(*ActiveWinograd(), In(dy), In(taps), shape, Out(dx));
      } else {
        PointwiseInputGradient(*ActivePointwise(), In(dy), In(taps), shape, Out(dx));
      }
    }
    if (dw_ours) {
      dw = EmptyLike(weight);
      const at::Tensor input = ChannelsLast(x);
      if (way == Way::kWinograd) {
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
  if (IsForOurs(x, weight)) {
    const ConvShape shape = ShapeOf(x, weight, stride, padding);
    const Way way = WayOf(shape);
    if (way != Way::kLibTorch || (weight.requires_grad() && WeightGradientIsOurs(shape))) {
      return ConvolveFunction::apply(x, weight, stride, padding, way);
    }
  }
  return at::conv2d(x, weight, /*bias=*/{}, {stride, stride}, {padding, padding});
}

}  // namespace mead::train
