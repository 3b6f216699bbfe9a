// The passes of norm_kernels.h on tensors, on whichever device they are.
//
// Tensors are dense and channels_last, of type T; those per channel are of
// NormAccumulate<T>. Undefined tensors stand for the kernels' null pointers.
// Thread: on a GPU, passes run on the calling thread's current stream.
#pragma once

#include <optional>

#include "worker/train/ops/norm_kernels.h"
#include "worker/train/tensors.h"

#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAGuard.h>
#endif

namespace mead::train {

// The per-channel tensors of one application of a layer.
struct NormChannels {
  at::Tensor mean, inverse_deviation, gamma, beta;
};

template <typename T>
class NormPasses {
 public:
  using A = NormAccumulate<T>;

  // x: the normalised layer's input, for the shape and the device.
  explicit NormPasses(const at::Tensor& x);

  // running: both undefined to leave them alone.
  void Statistics(const at::Tensor& x, double epsilon, double momentum, at::Tensor running_mean,
                  at::Tensor running_var, at::Tensor& mean, at::Tensor& inverse_deviation);
  void Apply(const at::Tensor& x, const at::Tensor& residual, const NormChannels& channels,
             bool relu, at::Tensor& y, at::Tensor& mask);
  void BackwardSums(const at::Tensor& dy, const at::Tensor& dy2, const at::Tensor& x,
                    const at::Tensor& mask, const NormChannels& channels, bool relu,
                    at::Tensor& dgamma, at::Tensor& dbeta, at::Tensor& dz);
  void BackwardApply(const at::Tensor& dy, const at::Tensor& x, const at::Tensor& mask,
                     const NormChannels& channels, bool relu, const at::Tensor& dgamma,
                     const at::Tensor& dbeta, at::Tensor& dx, at::Tensor& dresidual);

  // The stem's: pool_norm_cpu.h, pool_norm_gpu.h.
  void PoolApply(const at::Tensor& x, const NormChannels& channels, at::Tensor& y,
                 at::Tensor& winner);
  void PoolBackwardSums(const at::Tensor& dy, const at::Tensor& winner, const at::Tensor& x,
                        const NormChannels& channels, at::Tensor& dgamma, at::Tensor& dbeta);
  void PoolBackwardApply(const at::Tensor& dy, const at::Tensor& winner, const at::Tensor& x,
                         const NormChannels& channels, const at::Tensor& dgamma,
                         const at::Tensor& dbeta, at::Tensor& dx);

 private:
  NormShape shape_;
  bool on_cpu_;
#ifdef MEAD_HAVE_CUDA
  void* Scratch() const;

  std::optional<c10::cuda::CUDAGuard> guard_;
  void* stream_ = nullptr;
#endif
};

// Calls f with the passes of x's type.
// Errors: TrainError kInternal (another type).
template <typename F>
void WithNormPasses(const at::Tensor& x, F&& f) {
  switch (x.scalar_type()) {
    case at::kFloat:
      return f(NormPasses<float>(x));
    case at::kBFloat16:
      return f(NormPasses<c10::BFloat16>(x));
    case at::kDouble:
      return f(NormPasses<double>(x));
    default:
      throw TrainError(
          ErrorKind::kInternal,
          std::string("the fused batch-norm takes float32, bfloat16 or float64, got ") +
              at::toString(x.scalar_type()));
  }
}

}  // namespace mead::train
