#include "worker/train/ops/norm_act.h"

#include <torch/csrc/autograd/custom_function.h>

#include "worker/train/ops/norm_cpu.h"

#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "worker/train/ops/norm_gpu.h"
#endif

namespace mead::train {
namespace {

constexpr double kMomentum = 0.1;
constexpr double kEpsilon = 1e-5;

// The passes of norm_kernels.h on tensors of type T, wherever they are.
template <typename T>
class Passes {
 public:
  using A = NormAccumulate<T>;

  explicit Passes(const at::Tensor& x)
      : shape_{.rows = x.numel() / x.size(1), .channels = x.size(1)}, on_cpu_(x.is_cpu()) {
#ifdef MEAD_HAVE_CUDA
    if (!on_cpu_) {
      guard_.emplace(x.device());
      stream_ = c10::cuda::getCurrentCUDAStream(x.device().index()).stream();
    }
#endif
  }

  void Statistics(const at::Tensor& x, NormRunning<A> running, at::Tensor& mean,
                  at::Tensor& inverse_deviation) {
    const auto epsilon = static_cast<A>(kEpsilon);
    if (on_cpu_) {
      NormStatisticsOnCpu(In(x), shape_, epsilon, running, OutA(mean), OutA(inverse_deviation));
      return;
    }
#ifdef MEAD_HAVE_CUDA
    Check(NormStatisticsOnGpu(In(x), shape_, epsilon, running, OutA(mean), OutA(inverse_deviation),
                              Scratch(x), stream_));
#endif
  }

  void Apply(const at::Tensor& x, const at::Tensor& residual, NormCoefficients<A> coefficients,
             bool relu, at::Tensor& y, at::Tensor& mask) {
    if (on_cpu_) {
      NormApplyOnCpu(In(x), In(residual), shape_, coefficients, relu, Out(y), Bits(mask));
      return;
    }
#ifdef MEAD_HAVE_CUDA
    Check(NormApplyOnGpu(In(x), In(residual), shape_, coefficients, relu, Out(y), Bits(mask),
                         stream_));
#endif
  }

  void BackwardSums(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mask,
                    NormCoefficients<A> coefficients, bool relu, at::Tensor& dgamma,
                    at::Tensor& dbeta) {
    if (on_cpu_) {
      NormBackwardSumsOnCpu(In(dy), In(x), ConstBits(mask), shape_, coefficients, relu,
                            OutA(dgamma), OutA(dbeta));
      return;
    }
#ifdef MEAD_HAVE_CUDA
    Check(NormBackwardSumsOnGpu(In(dy), In(x), ConstBits(mask), shape_, coefficients, relu,
                                OutA(dgamma), OutA(dbeta), Scratch(x), stream_));
#endif
  }

  // dgamma, dbeta: undefined with frozen statistics.
  void BackwardApply(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mask,
                     NormCoefficients<A> coefficients, bool relu, const at::Tensor& dgamma,
                     const at::Tensor& dbeta, at::Tensor& dx, at::Tensor& dresidual) {
    if (on_cpu_) {
      NormBackwardApplyOnCpu(In(dy), In(x), ConstBits(mask), shape_, coefficients, relu,
                             InA(dgamma), InA(dbeta), Out(dx), Out(dresidual));
      return;
    }
#ifdef MEAD_HAVE_CUDA
    Check(NormBackwardApplyOnGpu(In(dy), In(x), ConstBits(mask), shape_, coefficients, relu,
                                 InA(dgamma), InA(dbeta), Out(dx), Out(dresidual), stream_));
#endif
  }

  static NormCoefficients<A> Coefficients(const at::Tensor& mean,
                                          const at::Tensor& inverse_deviation,
                                          const at::Tensor& gamma, const at::Tensor& beta) {
    return {.mean = InA(mean),
            .inverse_deviation = InA(inverse_deviation),
            .gamma = InA(gamma),
            .beta = InA(beta)};
  }

  static A* OutA(at::Tensor& tensor) { return tensor.data_ptr<A>(); }

 private:
  // Null for tensors that are not there.
  static const T* In(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<T>() : nullptr; }
  static T* Out(at::Tensor& t) { return t.defined() ? t.data_ptr<T>() : nullptr; }
  static const A* InA(const at::Tensor& t) { return t.defined() ? t.const_data_ptr<A>() : nullptr; }
  static const uint8_t* ConstBits(const at::Tensor& t) {
    return t.defined() ? t.const_data_ptr<uint8_t>() : nullptr;
  }
  static uint8_t* Bits(at::Tensor& t) { return t.defined() ? t.data_ptr<uint8_t>() : nullptr; }

#ifdef MEAD_HAVE_CUDA
  static void Check(int error) {
    if (error == 0) return;
    throw TrainError(ErrorKind::kInternal, std::string("the fused batch-norm on the GPU: ") +
                                               cudaGetErrorString(static_cast<cudaError_t>(error)));
  }

  // One per thread and device: passes on one stream follow one another.
  void* Scratch(const at::Tensor& x) {
    thread_local std::vector<at::Tensor> per_device;
    const auto device = static_cast<size_t>(x.device().index());
    if (per_device.size() <= device) per_device.resize(device + 1);
    at::Tensor& scratch = per_device[device];
    const auto bytes = static_cast<int64_t>(NormGpuScratchBytes(shape_.channels));
    if (!scratch.defined() || scratch.numel() < bytes) {
      scratch = at::zeros({bytes}, at::device(x.device()).dtype(at::kByte));
    }
    return scratch.data_ptr();
  }

  std::optional<c10::cuda::CUDAGuard> guard_;
  void* stream_ = nullptr;
#endif

  NormShape shape_;
  bool on_cpu_;
};

// Calls f with the Passes of x's type.
template <typename F>
void WithPasses(const at::Tensor& x, F&& f) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return f(Passes<float>(x));
    case at::kBFloat16:
      return f(Passes<c10::BFloat16>(x));
    case at::kDouble:
      return f(Passes<double>(x));
    default:
      throw TrainError(ErrorKind::kInternal, std::string("the fused batch-norm got a tensor of ") +
                                                 at::toString(x.scalar_type()));
  }
}

at::Tensor ChannelsLast(const at::Tensor& t) {
  return t.contiguous(at::MemoryFormat::ChannelsLast);
}

struct Settings {
  NormStatistics statistics;
  bool relu;
};

class NormActFunction : public torch::autograd::Function<NormActFunction> {
 public:
  using Context = torch::autograd::AutogradContext;
  using List = torch::autograd::variable_list;

  static at::Tensor forward(Context* context, const at::Tensor& input, const at::Tensor& gamma,
                            const at::Tensor& beta, const std::optional<at::Tensor>& residual,
                            const at::Tensor& running_mean, const at::Tensor& running_var,
                            Settings settings) {
    const at::Tensor x = ChannelsLast(input);
    const at::Tensor added = residual ? ChannelsLast(*residual) : at::Tensor();
    at::Tensor y = at::empty_like(x);
    at::Tensor mask;
    if (settings.relu && added.defined()) {
      mask = at::empty({x.numel() / 8}, x.options().dtype(at::kByte));
    }
    at::Tensor mean, inverse_deviation;
    if (settings.statistics == NormStatistics::kRunning) {
      mean = running_mean;
      inverse_deviation = at::rsqrt(running_var + kEpsilon);
    } else {
      mean = at::empty_like(gamma);
      inverse_deviation = at::empty_like(gamma);
    }
    WithPasses(x, [&]<typename T>(Passes<T> passes) {
      using A = NormAccumulate<T>;
      if (settings.statistics != NormStatistics::kRunning) {
        NormRunning<A> running;
        if (settings.statistics == NormStatistics::kBatch) {
          running = {.mean = running_mean.data_ptr<A>(),
                     .var = running_var.data_ptr<A>(),
                     .momentum = static_cast<A>(kMomentum)};
        }
        passes.Statistics(x, running, mean, inverse_deviation);
      }
      passes.Apply(x, added, Passes<T>::Coefficients(mean, inverse_deviation, gamma, beta),
                   settings.relu, y, mask);
    });
    context->save_for_backward({x, gamma, beta, mean, inverse_deviation, mask});
    context->saved_data["relu"] = settings.relu;
    context->saved_data["frozen"] = settings.statistics == NormStatistics::kRunning;
    context->saved_data["added"] = added.defined();
    return y;
  }

  static List backward(Context* context, const List& gradients) {
    const List saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& gamma = saved[1];
    const at::Tensor& beta = saved[2];
    const at::Tensor& mean = saved[3];
    const at::Tensor& inverse_deviation = saved[4];
    const at::Tensor& mask = saved[5];
    const bool relu = context->saved_data["relu"].toBool();
    const bool frozen = context->saved_data["frozen"].toBool();
    const bool added = context->saved_data["added"].toBool();
    const at::Tensor dy = ChannelsLast(gradients[0]);
    at::Tensor dgamma = at::empty_like(gamma);
    at::Tensor dbeta = at::empty_like(beta);
    at::Tensor dx, dresidual;
    if (context->needs_input_grad(0)) dx = at::empty_like(x);
    if (added) dresidual = at::empty_like(x);
    WithPasses(x, [&]<typename T>(Passes<T> passes) {
      const auto coefficients = Passes<T>::Coefficients(mean, inverse_deviation, gamma, beta);
      const bool learns = context->needs_input_grad(1) || context->needs_input_grad(2);
      if (learns || !frozen) passes.BackwardSums(dy, x, mask, coefficients, relu, dgamma, dbeta);
      if (!dx.defined() && !added) return;
      if (!dx.defined()) dx = at::empty_like(x);
      passes.BackwardApply(dy, x, mask, coefficients, relu, frozen ? at::Tensor() : dgamma,
                           frozen ? at::Tensor() : dbeta, dx, dresidual);
    });
    return {dx, dgamma, dbeta, dresidual, {}, {}, {}};
  }
};

}  // namespace

at::Tensor NormAct(const at::Tensor& x, const BatchNorm& norm, NormStatistics statistics,
                   Activation activation, const std::optional<at::Tensor>& residual) {
  constexpr int64_t kChannelsMultiple = 16;
  if (x.dim() != 4 || x.size(1) % kChannelsMultiple != 0) {
    throw TrainError(ErrorKind::kInternal,
                     "the fused batch-norm takes [N, C, H, W] with C a multiple of 16");
  }
  return NormActFunction::apply(x, norm.gamma, norm.beta, residual, norm.mean, norm.var,
                                Settings{statistics, activation == Activation::kRelu});
}

}  // namespace mead::train
