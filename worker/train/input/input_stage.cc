#include "worker/train/input/input_stage.h"

#include <algorithm>
#include <cstring>

#include "worker/train/input/normalize.h"

#ifdef MEAD_HAVE_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <array>
#endif

namespace mead::train {

at::Tensor DeviceBatch::Normalised() const {
  at::Tensor out =
      at::empty({pixels.size(0), 3, pixels.size(1), pixels.size(2)},
                at::device(pixels.device()).dtype(compute), at::MemoryFormat::ChannelsLast);
  const int64_t count = out.numel();
  const auto* bytes = pixels.const_data_ptr<uint8_t>();
  if (pixels.is_cpu()) {
    if (compute == at::kFloat) {
      NormalizeOnCpu(bytes, out.data_ptr<float>(), count);
    } else {
      NormalizeOnCpu(bytes, out.data_ptr<c10::BFloat16>(), count);
    }
    return out;
  }
#ifdef MEAD_HAVE_CUDA
  const c10::cuda::CUDAGuard guard(pixels.device());  // the kernel runs on the current device
  void* stream = c10::cuda::getCurrentCUDAStream(pixels.device().index()).stream();
  const int error = compute == at::kFloat
                        ? NormalizeOnGpu(bytes, out.data_ptr<float>(), count, stream)
                        : NormalizeOnGpu(bytes, out.data_ptr<c10::BFloat16>(), count, stream);
  if (error != 0) {
    throw TrainError(ErrorKind::kInternal, std::string("normalising pictures on the GPU: ") +
                                               cudaGetErrorString(static_cast<cudaError_t>(error)));
  }
#endif
  return out;
}

#ifdef MEAD_HAVE_CUDA

// Batch k waits in slot k % 2 on its way to pixels_ and labels_.
struct InputStage::Gpu {
  struct Slot {
    at::Tensor host_pixels, host_labels;  // pinned
    at::Tensor pixels, labels;            // on the device
    at::cuda::CUDAEvent arrived;          // host to device
    at::cuda::CUDAEvent taken;            // device to pixels_ and labels_
  };

  Gpu(const at::Tensor& pixels, const at::Tensor& labels)
      : copying(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, pixels.device().index())) {
    for (Slot& slot : slots) {
      const auto pinned = at::TensorOptions().pinned_memory(true);
      slot.host_pixels = at::empty(pixels.sizes(), pinned.dtype(at::kByte));
      slot.host_labels = at::empty(labels.sizes(), pinned.dtype(at::kLong));
      slot.pixels = at::empty_like(pixels);
      slot.labels = at::empty_like(labels);
    }
  }

  c10::cuda::CUDAStream copying;
  std::array<Slot, 2> slots;
  size_t next = 0;
};

#else

struct InputStage::Gpu {};

#endif

InputStage::InputStage(at::Device device, at::ScalarType compute, int64_t largest, int64_t side)
    : device_(device),
      compute_(compute),
      side_(side),
      labels_(at::empty({largest}, at::device(device).dtype(at::kLong))) {
  if (device.is_cpu()) return;
#ifdef MEAD_HAVE_CUDA
  pixels_ = at::empty({largest, side, side, 3}, at::device(device).dtype(at::kByte));
  gpu_ = std::make_unique<Gpu>(pixels_, labels_);
#endif
}

InputStage::~InputStage() = default;

DeviceBatch InputStage::Load(const uint8_t* pixels, const int32_t* labels, int64_t n) {
  const at::Tensor to_labels = labels_.narrow(0, 0, n);
  if (device_.is_cpu()) {
    std::copy_n(labels, n, labels_.data_ptr<int64_t>());
    // Read before this call's caller goes on: no copy.
    return {n > 0 ? at::from_blob(const_cast<uint8_t*>(pixels), {n, side_, side_, 3},
                                  at::dtype(at::kByte))
                  : at::empty({0, side_, side_, 3}, at::dtype(at::kByte)),
            to_labels, compute_};
  }
  const at::Tensor to_pixels = pixels_.narrow(0, 0, n);
#ifdef MEAD_HAVE_CUDA
  if (n == 0) return {to_pixels, to_labels, compute_};
  const c10::cuda::CUDAGuard guard(device_);
  const auto compute_stream = c10::cuda::getCurrentCUDAStream(device_.index());
  Gpu::Slot& slot = gpu_->slots[gpu_->next++ % gpu_->slots.size()];
  slot.arrived.synchronize();  // of the batch before the last: its host memory is free again
  std::memcpy(slot.host_pixels.data_ptr(), pixels, static_cast<size_t>(to_pixels.numel()));
  std::copy_n(labels, n, slot.host_labels.data_ptr<int64_t>());
  {
    const c10::cuda::CUDAStreamGuard copying(gpu_->copying);
    slot.taken.block(gpu_->copying);
    slot.pixels.narrow(0, 0, n).copy_(slot.host_pixels.narrow(0, 0, n), /*non_blocking=*/true);
    slot.labels.narrow(0, 0, n).copy_(slot.host_labels.narrow(0, 0, n), /*non_blocking=*/true);
    slot.arrived.record(gpu_->copying);
  }
  slot.arrived.block(compute_stream);
  at::Tensor(to_pixels).copy_(slot.pixels.narrow(0, 0, n), /*non_blocking=*/true);
  at::Tensor(to_labels).copy_(slot.labels.narrow(0, 0, n), /*non_blocking=*/true);
  slot.taken.record(compute_stream);
#endif
  return {to_pixels, to_labels, compute_};
}

}  // namespace mead::train
