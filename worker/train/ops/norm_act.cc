#include "worker/train/ops/norm_act.h"

#include <ATen/record_function.h>
#include <torch/csrc/autograd/custom_function.h>

#include <tuple>

#include "worker/train/ops/norm_passes.h"

namespace mead::train {
namespace {

using Context = torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr double kMomentum = 0.1;
constexpr double kEpsilon = 1e-5;

at::Tensor ChannelsLast(const at::Tensor& tensor) {
  return tensor.contiguous(at::MemoryFormat::ChannelsLast);
}

// The statistics that x is normalised by, with the layer's parameters; the running
// ones take them up if told to.
template <typename T>
NormChannels Normalisation(NormPasses<T>& passes, const at::Tensor& x, const BatchNorm& norm,
                           NormStatistics statistics) {
  NormChannels channels{
      .mean = norm.mean, .inverse_deviation = {}, .gamma = norm.gamma, .beta = norm.beta};
  if (statistics == NormStatistics::kRunning) {
    channels.inverse_deviation = at::rsqrt(norm.var + kEpsilon);
    return channels;
  }
  channels.mean = at::empty_like(norm.gamma);
  channels.inverse_deviation = at::empty_like(norm.gamma);
  const bool track = statistics == NormStatistics::kBatch;
  passes.Statistics(x, kEpsilon, kMomentum, track ? norm.mean : at::Tensor(),
                    track ? norm.var : at::Tensor(), channels.mean, channels.inverse_deviation);
  return channels;
}

// What all the operators keep for backward, at the same places; `extra` is the
// mask or the pooling's winners.
void Save(Context* context, const at::Tensor& x, const NormChannels& channels,
          const at::Tensor& extra, NormStatistics statistics) {
  context->save_for_backward(
      {x, channels.mean, channels.inverse_deviation, channels.gamma, channels.beta, extra});
  context->saved_data["frozen"] = statistics == NormStatistics::kRunning;
}

struct Saved {
  explicit Saved(Context* context) : frozen(context->saved_data["frozen"].toBool()) {
    const variable_list saved = context->get_saved_variables();
    x = saved[0];
    channels = {
        .mean = saved[1], .inverse_deviation = saved[2], .gamma = saved[3], .beta = saved[4]};
    extra = saved[5];
  }

  at::Tensor x;
  NormChannels channels;
  at::Tensor extra;
  bool frozen;
};

// Of one backward call: the parameters' gradients, and whether anybody needs them.
struct ParameterGradients {
  ParameterGradients(Context* context, const Saved& saved)
      : dgamma(at::empty_like(saved.channels.gamma)),
        dbeta(at::empty_like(saved.channels.beta)),
        needed(!saved.frozen || context->needs_input_grad(1) || context->needs_input_grad(2)) {}

  // What the application takes: with frozen statistics x does not move them.
  std::tuple<at::Tensor, at::Tensor> ForApply(const Saved& saved) const {
    if (saved.frozen) return {};
    return {dgamma, dbeta};
  }

  at::Tensor dgamma, dbeta;
  bool needed;
};

class NormActFunction : public torch::autograd::Function<NormActFunction> {
 public:
  static at::Tensor forward(Context* context, const at::Tensor& input, const at::Tensor& gamma,
                            const at::Tensor& beta, const BatchNorm& norm,
                            NormStatistics statistics, bool relu) {
    RECORD_USER_SCOPE("mead::norm_act");
    const at::Tensor x = ChannelsLast(input);
    at::Tensor y = at::empty_like(x);
    WithNormPasses(x, [&](auto passes) {
      const NormChannels channels = Normalisation(passes, x, norm, statistics);
      at::Tensor no_mask;
      passes.Apply(x, /*residual=*/{}, channels, relu, y, no_mask);
      Save(context, x, channels, /*extra=*/{}, statistics);
    });
    context->saved_data["relu"] = relu;
    static_cast<void>(gamma), static_cast<void>(beta);  // norm's: named so that autograd sees them
    return y;
  }

  static variable_list backward(Context* context, const variable_list& gradients) {
    const Saved saved(context);
    const bool relu = context->saved_data["relu"].toBool();
    const at::Tensor dy = ChannelsLast(gradients[0]);
    ParameterGradients parameters(context, saved);
    at::Tensor dx;
    WithNormPasses(saved.x, [&](auto passes) {
      at::Tensor no_dz, no_dresidual;
      if (parameters.needed) {
        passes.BackwardSums(dy, /*dy2=*/{}, saved.x, /*mask=*/{}, saved.channels, relu,
                            parameters.dgamma, parameters.dbeta, no_dz);
      }
      if (!context->needs_input_grad(0)) return;
      dx = saved.x;
      const auto [dgamma, dbeta] = parameters.ForApply(saved);
      passes.BackwardApply(dy, saved.x, /*mask=*/{}, saved.channels, relu, dgamma, dbeta, dx,
                           no_dresidual);
    });
    return {dx, parameters.dgamma, parameters.dbeta, {}, {}, {}};
  }
};

class NormAddReluFunction : public torch::autograd::Function<NormAddReluFunction> {
 public:
  static variable_list forward(Context* context, const at::Tensor& input, const at::Tensor& gamma,
                               const at::Tensor& beta, const at::Tensor& added,
                               const BatchNorm& norm, NormStatistics statistics) {
    RECORD_USER_SCOPE("mead::norm_add_relu");
    const at::Tensor x = ChannelsLast(input);
    const at::Tensor residual = ChannelsLast(added);
    at::Tensor y = at::empty_like(x);
    at::Tensor mask = at::empty({x.numel() / 8}, x.options().dtype(at::kByte));
    WithNormPasses(x, [&](auto passes) {
      const NormChannels channels = Normalisation(passes, x, norm, statistics);
      passes.Apply(x, residual, channels, /*relu=*/true, y, mask);
      Save(context, x, channels, mask, statistics);
    });
    static_cast<void>(gamma), static_cast<void>(beta);
    context->set_materialize_grads(false);
    return {y, y.detach()};
  }

  static variable_list backward(Context* context, const variable_list& gradients) {
    const Saved saved(context);
    const at::Tensor& mask = saved.extra;
    const bool first = gradients[0].defined();
    const bool both = first && gradients[1].defined();
    const at::Tensor dy = ChannelsLast(gradients[first ? 0 : 1]);
    const at::Tensor dy2 = both ? ChannelsLast(gradients[1]) : at::Tensor();
    ParameterGradients parameters(context, saved);
    at::Tensor dx = saved.x;
    at::Tensor dz = at::empty_like(saved.x);  // the residual's gradient
    WithNormPasses(saved.x, [&](auto passes) {
      at::Tensor none;
      at::Tensor& dz_of_sums = both ? dz : none;
      at::Tensor& dz_of_apply = both ? none : dz;
      if (parameters.needed || both) {
        passes.BackwardSums(dy, dy2, saved.x, mask, saved.channels, /*relu=*/true,
                            parameters.dgamma, parameters.dbeta, dz_of_sums);
      }
      const auto [dgamma, dbeta] = parameters.ForApply(saved);
      passes.BackwardApply(both ? dz : dy, saved.x, both ? none : mask, saved.channels,
                           /*relu=*/!both, dgamma, dbeta, dx, dz_of_apply);
    });
    return {dx, parameters.dgamma, parameters.dbeta, dz, {}, {}};
  }
};

class NormReluPoolFunction : public torch::autograd::Function<NormReluPoolFunction> {
 public:
  static at::Tensor forward(Context* context, const at::Tensor& input, const at::Tensor& gamma,
                            const at::Tensor& beta, const BatchNorm& norm,
                            NormStatistics statistics) {
    RECORD_USER_SCOPE("mead::norm_relu_pool");
    const at::Tensor x = ChannelsLast(input);
    at::Tensor y = at::empty({x.size(0), x.size(1), (x.size(2) + 1) / 2, (x.size(3) + 1) / 2},
                             x.options(), at::MemoryFormat::ChannelsLast);
    at::Tensor winner = at::empty_like(y, y.options().dtype(at::kByte));
    WithNormPasses(x, [&](auto passes) {
      const NormChannels channels = Normalisation(passes, x, norm, statistics);
      passes.PoolApply(x, channels, y, winner);
      Save(context, x, channels, winner, statistics);
    });
    static_cast<void>(gamma), static_cast<void>(beta);
    return y;
  }

  static variable_list backward(Context* context, const variable_list& gradients) {
    const Saved saved(context);
    const at::Tensor dy = ChannelsLast(gradients[0]);
    ParameterGradients parameters(context, saved);
    at::Tensor dx;
    WithNormPasses(saved.x, [&](auto passes) {
      if (parameters.needed) {
        passes.PoolBackwardSums(dy, saved.extra, saved.x, saved.channels, parameters.dgamma,
                                parameters.dbeta);
      }
      if (!context->needs_input_grad(0)) return;
      dx = saved.x;
      const auto [dgamma, dbeta] = parameters.ForApply(saved);
      passes.PoolBackwardApply(dy, saved.extra, saved.x, saved.channels, dgamma, dbeta, dx);
    });
    return {dx, parameters.dgamma, parameters.dbeta, {}, {}};
  }
};

std::string Described(const at::Tensor& tensor) {
  return c10::str(tensor.sizes(), " of ", tensor.scalar_type());
}

// The passes go over raw memory: what does not fit must not reach them.
void Check(const at::Tensor& x, const BatchNorm& norm, const at::Tensor& residual = {}) {
  constexpr int64_t kChannelsMultiple = 16;
  const auto refuse = [](const std::string& why) {
    throw TrainError(ErrorKind::kInternal, "the fused batch-norm " + why);
  };
  if (x.dim() != 4 || x.numel() == 0 || x.size(1) % kChannelsMultiple != 0) {
    refuse("takes a non-empty [N, C, H, W] with C a multiple of 16, got " + Described(x));
  }
  const auto of_channel = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  for (const at::Tensor& tensor : {norm.gamma, norm.beta, norm.mean, norm.var}) {
    if (tensor.dim() == 1 && tensor.size(0) == x.size(1) && tensor.scalar_type() == of_channel &&
        tensor.is_contiguous()) {
      continue;
    }
    refuse(c10::str("of ", Described(x), " got a layer's tensor of ", Described(tensor),
                    "; expected [", x.size(1), "] of ", of_channel));
  }
  if (residual.defined() &&
      (residual.sizes() != x.sizes() || residual.scalar_type() != x.scalar_type())) {
    refuse("of " + Described(x) + " got a residual unlike it: " + Described(residual));
  }
}

}  // namespace

at::Tensor NormAct(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics,
                   Activation activation) {
  Check(x, norm);
  return NormActFunction::apply(x, norm.gamma, norm.beta, norm, statistics,
                                activation == Activation::kRelu);
}

Fork NormAddRelu(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics,
                 const at::Tensor& residual) {
  Check(x, norm, residual);
  const variable_list two =
      NormAddReluFunction::apply(x, norm.gamma, norm.beta, residual, norm, statistics);
  return {.into = two[0], .past = two[1]};
}

at::Tensor NormReluPool(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics) {
  Check(x, norm);
  return NormReluPoolFunction::apply(x, norm.gamma, norm.beta, norm, statistics);
}

}  // namespace mead::train
