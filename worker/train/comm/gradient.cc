#include "worker/train/comm/gradient.h"

#include <ATen/Parallel.h>
#include <ATen/record_function.h>

#include <atomic>
#include <string>

#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include "worker/train/comm/gradient_gpu.h"
#endif

#ifndef _OPENMP
#error "at::parallel_for would run on one thread: compile with -fopenmp"
#endif

namespace mead::train {
namespace {

template <typename T, typename F>
void TakeFrom(const T* from, int64_t size, bool add, float* to, const at::Tensor& not_finite,
              F&& take) {
  if (not_finite.is_cpu()) {
    constexpr int64_t kGrain = 32768;
    std::atomic<bool> finite = true;
    at::parallel_for(0, size, kGrain, [&](int64_t begin, int64_t end) {
      if (!take(from + begin, end - begin, add, to + begin)) finite = false;
    });
    if (!finite) *not_finite.mutable_data_ptr<float>() = 1;
    return;
  }
#ifdef MEAD_HAVE_CUDA
  const int error =
      TakeGradientOnGpu(from, size, add, to, not_finite.mutable_data_ptr<float>(),
                        c10::cuda::getCurrentCUDAStream(not_finite.device().index()).stream());
  if (error != 0) {
    throw TrainError(ErrorKind::kInternal, std::string("a gradient on the GPU: ") +
                                               cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
#endif
}

}  // namespace

void TakeGradient(const at::Tensor& gradient, bool add, const at::Tensor& place,
                  const at::Tensor& not_finite) {
  RECORD_USER_SCOPE("mead::take_gradient");
  const bool same = SameLayout(gradient, place);
  if (!same) {
    // Element by element through the indices; then what is there is only looked at.
    if (add) {
      place.add_(gradient);
    } else {
      place.copy_(gradient);
    }
    add = false;
  }
  const at::Tensor& from = same ? gradient : place;
  auto* to = place.mutable_data_ptr<float>();
  const GradientCpuTable& kernels = TableOf(kGradientCpuTables, ActiveCpuIsa());
  if (from.scalar_type() == at::kFloat) {
    TakeFrom(from.const_data_ptr<float>(), from.numel(), add, to, not_finite, kernels.take_fp32);
  } else if (from.scalar_type() == at::kBFloat16) {
    TakeFrom(reinterpret_cast<const Bf16Storage*>(from.const_data_ptr<at::BFloat16>()),
             from.numel(), add, to, not_finite, kernels.take_bf16);
  } else {
    throw TrainError(ErrorKind::kInternal, std::string("a gradient in ") +
                                               c10::toString(from.scalar_type()) +
                                               ", where float32 or bfloat16 was expected");
  }
}

}  // namespace mead::train
