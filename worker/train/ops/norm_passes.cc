#include "worker/train/ops/norm_passes.h"

#include "worker/train/ops/norm_cpu.h"
#include "worker/train/ops/pool_norm_cpu.h"

#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "worker/train/ops/norm_gpu.h"
#include "worker/train/ops/pool_norm_gpu.h"
#endif

namespace mead::train {
namespace {

// Null for a tensor that is not there.
template <typename T>
const T* In(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.const_data_ptr<T>() : nullptr;
}

template <typename T>
T* Out(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.mutable_data_ptr<T>() : nullptr;
}

template <typename A>
NormCoefficients<A> Coefficients(const NormChannels& channels) {
  return {.mean = In<A>(channels.mean),
          .inverse_deviation = In<A>(channels.inverse_deviation),
          .gamma = In<A>(channels.gamma),
          .beta = In<A>(channels.beta)};
}

PoolNormShape PoolShape(const at::Tensor& x) {
  return {.images = x.size(0), .height = x.size(2), .width = x.size(3), .channels = x.size(1)};
}

#ifdef MEAD_HAVE_CUDA
void Check(int error) {
  if (error == 0) return;
  throw TrainError(ErrorKind::kInternal, std::string("the fused batch-norm on the GPU: ") +
                                             cudaGetErrorString(static_cast<cudaError_t>(error)));
}

#else
[[noreturn]] void NoGpu() {
  throw TrainError(ErrorKind::kInternal, "a GPU's batch-norm in a build without CUDA");
}
#endif

}  // namespace

template <typename T>
NormPasses<T>::NormPasses(const at::Tensor& x)
    : shape_{.rows = x.numel() / x.size(1), .channels = x.size(1)}, on_cpu_(x.is_cpu()) {
#ifdef MEAD_HAVE_CUDA
  if (on_cpu_) return;
  guard_.emplace(x.device());
  stream_ = c10::cuda::getCurrentCUDAStream(x.device().index()).stream();
#else
  if (!on_cpu_) NoGpu();
#endif
}

#ifdef MEAD_HAVE_CUDA
// Passes on one stream follow one another, so they can share the widest layer's;
// forward and backward run on threads of their own.
template <typename T>
void* NormPasses<T>::Scratch() const {
  constexpr int64_t kWidest = 2048;
  thread_local std::vector<at::Tensor> per_device;
  const at::Device device = guard_->current_device();
  const auto index = static_cast<size_t>(device.index());
  if (per_device.size() <= index) per_device.resize(index + 1);
  at::Tensor& scratch = per_device[index];
  const auto bytes = static_cast<int64_t>(NormGpuScratchBytes(std::max(shape_.channels, kWidest)));
  if (!scratch.defined() || scratch.numel() < bytes) {
    scratch = at::zeros({bytes}, at::device(device).dtype(at::kByte));
  }
  return scratch.data_ptr();
}
#endif

template <typename T>
void NormPasses<T>::Statistics(const at::Tensor& x, double epsilon, double momentum,
                               at::Tensor running_mean, at::Tensor running_var, at::Tensor& mean,
                               at::Tensor& inverse_deviation) {
  const NormRunning<A> running{.mean = Out<A>(running_mean),
                               .var = Out<A>(running_var),
                               .momentum = static_cast<A>(momentum)};
  const auto small = static_cast<A>(epsilon);
  if (on_cpu_) {
    NormStatisticsOnCpu(In<T>(x), shape_, small, running, Out<A>(mean), Out<A>(inverse_deviation));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(NormStatisticsOnGpu(In<T>(x), shape_, small, running, Out<A>(mean),
                            Out<A>(inverse_deviation), Scratch(), stream_));
#endif
}

template <typename T>
void NormPasses<T>::Apply(const at::Tensor& x, const at::Tensor& residual,
                          const NormChannels& channels, bool relu, at::Tensor& y,
                          at::Tensor& mask) {
  const auto coefficients = Coefficients<A>(channels);
  if (on_cpu_) {
    NormApplyOnCpu(In<T>(x), In<T>(residual), shape_, coefficients, relu, Out<T>(y),
                   Out<uint8_t>(mask));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(NormApplyOnGpu(In<T>(x), In<T>(residual), shape_, coefficients, relu, Out<T>(y),
                       Out<uint8_t>(mask), stream_));
#endif
}

template <typename T>
void NormPasses<T>::BackwardSums(const at::Tensor& dy, const at::Tensor& dy2, const at::Tensor& x,
                                 const at::Tensor& mask, const NormChannels& channels, bool relu,
                                 at::Tensor& dgamma, at::Tensor& dbeta, at::Tensor& dz) {
  const auto coefficients = Coefficients<A>(channels);
  if (on_cpu_) {
    NormBackwardSumsOnCpu(In<T>(dy), In<T>(dy2), In<T>(x), In<uint8_t>(mask), shape_, coefficients,
                          relu, Out<A>(dgamma), Out<A>(dbeta), Out<T>(dz));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(NormBackwardSumsOnGpu(In<T>(dy), In<T>(dy2), In<T>(x), In<uint8_t>(mask), shape_,
                              coefficients, relu, Out<A>(dgamma), Out<A>(dbeta), Out<T>(dz),
                              Scratch(), stream_));
#endif
}

template <typename T>
void NormPasses<T>::BackwardApply(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mask,
                                  const NormChannels& channels, bool relu, const at::Tensor& dgamma,
                                  const at::Tensor& dbeta, at::Tensor& dx, at::Tensor& dresidual) {
  const auto coefficients = Coefficients<A>(channels);
  if (on_cpu_) {
    NormBackwardApplyOnCpu(In<T>(dy), In<T>(x), In<uint8_t>(mask), shape_, coefficients, relu,
                           In<A>(dgamma), In<A>(dbeta), Out<T>(dx), Out<T>(dresidual));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(NormBackwardApplyOnGpu(In<T>(dy), In<T>(x), In<uint8_t>(mask), shape_, coefficients, relu,
                               In<A>(dgamma), In<A>(dbeta), Out<T>(dx), Out<T>(dresidual),
                               stream_));
#endif
}

template <typename T>
void NormPasses<T>::PoolApply(const at::Tensor& x, const NormChannels& channels, at::Tensor& y,
                              at::Tensor& winner) {
  const auto coefficients = Coefficients<A>(channels);
  if (on_cpu_) {
    PoolNormApplyOnCpu(In<T>(x), PoolShape(x), coefficients, Out<T>(y), Out<uint8_t>(winner));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(PoolNormApplyOnGpu(In<T>(x), PoolShape(x), coefficients, Out<T>(y), Out<uint8_t>(winner),
                           stream_));
#endif
}

template <typename T>
void NormPasses<T>::PoolBackwardSums(const at::Tensor& dy, const at::Tensor& winner,
                                     const at::Tensor& x, const NormChannels& channels,
                                     at::Tensor& dgamma, at::Tensor& dbeta) {
  const auto coefficients = Coefficients<A>(channels);
  if (on_cpu_) {
    PoolNormBackwardSumsOnCpu(In<T>(dy), In<uint8_t>(winner), In<T>(x), PoolShape(x), coefficients,
                              Out<A>(dgamma), Out<A>(dbeta));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(PoolNormBackwardSumsOnGpu(In<T>(dy), In<uint8_t>(winner), In<T>(x), PoolShape(x),
                                  coefficients, Out<A>(dgamma), Out<A>(dbeta), Scratch(), stream_));
#endif
}

template <typename T>
void NormPasses<T>::PoolBackwardApply(const at::Tensor& dy, const at::Tensor& winner,
                                      const at::Tensor& x, const NormChannels& channels,
                                      const at::Tensor& dgamma, const at::Tensor& dbeta,
                                      at::Tensor& dx) {
  const auto coefficients = Coefficients<A>(channels);
  if (on_cpu_) {
    PoolNormBackwardApplyOnCpu(In<T>(dy), In<uint8_t>(winner), In<T>(x), PoolShape(x), coefficients,
                               In<A>(dgamma), In<A>(dbeta), Out<T>(dx));
    return;
  }
#ifdef MEAD_HAVE_CUDA
  Check(PoolNormBackwardApplyOnGpu(In<T>(dy), In<uint8_t>(winner), In<T>(x), PoolShape(x),
                                   coefficients, In<A>(dgamma), In<A>(dbeta), Out<T>(dx), stream_));
#endif
}

template class NormPasses<float>;
template class NormPasses<double>;
template class NormPasses<c10::BFloat16>;

}  // namespace mead::train
