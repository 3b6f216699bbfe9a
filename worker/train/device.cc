#include "worker/train/device.h"

#include <algorithm>
#include <optional>

#ifdef MEAD_HAVE_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAFunctions.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#endif

namespace mead::train {

at::Device ParseDevice(const std::string& text) {
  const bool known = text == "cpu" || text == "cuda" || text.starts_with("cuda:");
  if (!known) {
    throw TrainError(ErrorKind::kUserError, "device '" + text + "' is not 'cpu' or 'cuda:N'");
  }
  const at::Device device = Translated("choosing the device", [&] { return at::Device(text); });
#ifdef MEAD_HAVE_CUDA
  const int gpus = device.is_cuda() ? c10::cuda::device_count() : 0;
#else
  const int gpus = 0;
#endif
  if (device.is_cuda() && std::max<int>(device.index(), 0) >= gpus) {
    throw TrainError(ErrorKind::kUserError, "device '" + text +
                                                "' was asked for and this machine has " +
                                                std::to_string(gpus) + " usable GPUs");
  }
  return device;
}

int64_t FreeDeviceBytes([[maybe_unused]] at::Device device) {
#ifdef MEAD_HAVE_CUDA
  if (device.is_cuda()) {
    const c10::cuda::CUDAGuard guard(device);
    size_t free = 0, total = 0;
    C10_CUDA_CHECK(cudaMemGetInfo(&free, &total));
    return static_cast<int64_t>(free);
  }
#endif
  return 0;
}

#ifdef MEAD_HAVE_CUDA

struct ComputeStream::Impl {
  c10::cuda::CUDAStream stream;
};
struct ComputeStream::Scope::Guard {
  c10::cuda::CUDAStreamGuard guard;
};
struct HostCopy::Event {
  at::cuda::CUDAEvent event;
};

// Not the default stream: a graph cannot be recorded there.
ComputeStream::ComputeStream(at::Device device) {
  if (device.is_cpu()) return;
  const auto index = std::max<c10::DeviceIndex>(device.index(), 0);
  impl_.reset(new Impl{c10::cuda::getStreamFromPool(/*isHighPriority=*/false, index)});
}

ComputeStream::Scope::Scope(const ComputeStream& stream) {
  if (stream.impl_) guard_.reset(new Guard{c10::cuda::CUDAStreamGuard(stream.impl_->stream)});
}

HostCopy::HostCopy(const at::Tensor& tensor) {
  if (tensor.is_cpu()) {
    host_ = tensor.clone();
    return;
  }
  host_ = at::empty(tensor.sizes(), at::dtype(tensor.scalar_type()).pinned_memory(true));
  host_.copy_(tensor, /*non_blocking=*/true);
  arrived_ = std::make_unique<Event>();
  arrived_->event.record(c10::cuda::getCurrentCUDAStream(tensor.device().index()));
}

bool HostCopy::Ready() const { return !arrived_ || arrived_->event.query(); }

const at::Tensor& HostCopy::Wait() const {
  if (arrived_) arrived_->event.synchronize();
  return host_;
}

#else

struct ComputeStream::Impl {};
struct ComputeStream::Scope::Guard {};
struct HostCopy::Event {};

ComputeStream::ComputeStream(at::Device) {}
ComputeStream::Scope::Scope(const ComputeStream&) {}
HostCopy::HostCopy(const at::Tensor& tensor) : host_(tensor.clone()) {}
bool HostCopy::Ready() const { return true; }
const at::Tensor& HostCopy::Wait() const { return host_; }

#endif

ComputeStream::~ComputeStream() = default;
ComputeStream::ComputeStream(ComputeStream&&) noexcept = default;
ComputeStream::Scope::~Scope() = default;
HostCopy::~HostCopy() = default;
HostCopy::HostCopy(HostCopy&&) noexcept = default;

}  // namespace mead::train
