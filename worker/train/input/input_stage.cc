#include "worker/train/input/input_stage.h"

#include "worker/train/input/normalize.h"

#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <cstring>
#endif

namespace mead::train {

at::Tensor InputStage::Load(const uint8_t* pixels, int64_t n, int64_t side) {
  at::Tensor out = at::empty({n, 3, side, side}, at::device(device_).dtype(type_),
                             at::MemoryFormat::ChannelsLast);
  const int64_t count = out.numel();
  if (device_.is_cpu()) {
    if (type_ == at::kFloat) {
      NormalizeOnCpu(pixels, out.data_ptr<float>(), count);
    } else {
      NormalizeOnCpu(pixels, out.data_ptr<c10::BFloat16>(), count);
    }
    return out;
  }
#ifdef MEAD_HAVE_CUDA
  const c10::cuda::CUDAGuard guard(device_);  // the kernel runs on the current device
  // Through pinned memory, so that the copy is asynchronous; the allocator keeps
  // the block until the stream has passed the copy.
  at::Tensor pinned = at::empty({count}, at::dtype(at::kByte).pinned_memory(true));
  std::memcpy(pinned.data_ptr(), pixels, static_cast<size_t>(count));
  const at::Tensor bytes = pinned.to(device_, /*non_blocking=*/true);
  void* stream = c10::cuda::getCurrentCUDAStream(device_.index()).stream();
  const int error =
      type_ == at::kFloat
          ? NormalizeOnGpu(bytes.const_data_ptr<uint8_t>(), out.data_ptr<float>(), count, stream)
          : NormalizeOnGpu(bytes.const_data_ptr<uint8_t>(), out.data_ptr<c10::BFloat16>(), count,
                           stream);
  if (error != 0) {
    throw TrainError(ErrorKind::kInternal, std::string("normalising pictures on the GPU: ") +
                                               cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
#endif
  return out;
}

}  // namespace mead::train
