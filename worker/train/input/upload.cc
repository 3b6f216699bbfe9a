#include "worker/train/input/upload.h"

#include <algorithm>
#include <cstring>

#ifdef MEAD_HAVE_CUDA
#include <ATen/cuda/CUDAEvent.h>
#include <c10/cuda/CUDAException.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>

#include <condition_variable>
#include <deque>
#include <mutex>
#endif

namespace mead::train {

#ifdef MEAD_HAVE_CUDA

struct Upload::Gpu {
  // A decoded picture of the usual sizes is a part of one.
  static constexpr size_t kBufferBytes = size_t{2} << 20;
  static constexpr size_t kBuffers = 8;

  struct Buffer {
    at::Tensor host;             // [kBufferBytes], uint8, pinned
    at::cuda::CUDAEvent copied;  // its last copy
  };

  explicit Gpu(at::Device where)
      : device(where),
        stream(c10::cuda::getStreamFromPool(/*isHighPriority=*/false, where.index())) {
    const auto pinned = at::dtype(at::kByte).pinned_memory(true);
    for (size_t i = 0; i < kBuffers; ++i) {
      free.push_back(std::make_unique<Buffer>());
      free.back()->host = at::empty({static_cast<int64_t>(kBufferBytes)}, pinned);
    }
  }

  void CopyPart(const uint8_t* from, size_t bytes, uint8_t* to) {
    std::unique_ptr<Buffer> buffer;
    {
      std::unique_lock lock(mutex);
      returned.wait(lock, [this] { return !free.empty(); });
      buffer = std::move(free.front());
      free.pop_front();
    }
    // Whatever happens, others must not wait for it forever.
    struct Return {
      Gpu& gpu;
      std::unique_ptr<Buffer>& buffer;
      ~Return() {
        {
          const std::lock_guard lock(gpu.mutex);
          gpu.free.push_back(std::move(buffer));
        }
        gpu.returned.notify_one();
      }
    } const return_it{*this, buffer};
    buffer->copied.synchronize();
    auto* pinned = buffer->host.data_ptr<uint8_t>();
    std::memcpy(pinned, from, bytes);
    C10_CUDA_CHECK(cudaMemcpyAsync(to, pinned, bytes, cudaMemcpyHostToDevice, stream.stream()));
    buffer->copied.record(stream);
  }

  const at::Device device;
  const c10::cuda::CUDAStream stream;
  at::cuda::CUDAEvent arrived;  // AwaitCopies' own
  std::mutex mutex;             // of what follows
  std::condition_variable returned;
  std::deque<std::unique_ptr<Buffer>> free;  // the longest unused first
};

#else

struct Upload::Gpu {};

#endif

Upload::Upload([[maybe_unused]] at::Device device) {
#ifdef MEAD_HAVE_CUDA
  if (device.is_cuda()) gpu_ = std::make_unique<Gpu>(device);
#endif
}

Upload::~Upload() = default;

void Upload::Copy(const uint8_t* from, size_t bytes, uint8_t* to) {
  if (gpu_ == nullptr) {
    std::memcpy(to, from, bytes);
    return;
  }
#ifdef MEAD_HAVE_CUDA
  const c10::cuda::CUDAGuard guard(gpu_->device);
  for (size_t done = 0; done < bytes;) {
    const size_t part = std::min(Gpu::kBufferBytes, bytes - done);
    gpu_->CopyPart(from + done, part, to + done);
    done += part;
  }
#endif
}

void Upload::AwaitCopies() {
  if (gpu_ == nullptr) return;
#ifdef MEAD_HAVE_CUDA
  gpu_->arrived.record(gpu_->stream);
  gpu_->arrived.block(c10::cuda::getCurrentCUDAStream(gpu_->device.index()));
#endif
}

}  // namespace mead::train
