#include "worker/train/input/resident_store.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#ifdef MEAD_HAVE_CUDA
#include <c10/cuda/CUDAGuard.h>
#include <cuda_runtime_api.h>
#endif

namespace mead::train {
namespace {

constexpr uint64_t kSlabBytes = uint64_t{256} << 20;
constexpr uint64_t kAlignment = 64;  // of each picture

uint64_t PixelBytes(PictureSize size) {
  return uint64_t{3} * static_cast<uint64_t>(size.width) * static_cast<uint64_t>(size.height);
}

uint64_t Aligned(uint64_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

}  // namespace

// A piece of the device's memory, given out from its beginning.
class ResidentStore::Slab {
 public:
  // Is empty where the device has no such piece.
  Slab(at::Device device, uint64_t bytes) : on_gpu_(device.is_cuda()), bytes_(bytes) {
#ifdef MEAD_HAVE_CUDA
    if (on_gpu_) {
      const c10::cuda::CUDAGuard guard(device);
      if (cudaMalloc(&memory_, bytes) == cudaSuccess) return;
      memory_ = nullptr;
      static_cast<void>(cudaGetLastError());  // others must not find this failure
      return;
    }
#endif
    memory_ = std::aligned_alloc(kAlignment, bytes);
  }
  Slab(Slab&& other) noexcept
      : on_gpu_(other.on_gpu_),
        bytes_(other.bytes_),
        memory_(std::exchange(other.memory_, nullptr)),
        used_(other.used_) {}
  ~Slab() {
#ifdef MEAD_HAVE_CUDA
    if (on_gpu_) {
      cudaFree(memory_);  // waits for what reads it
      return;
    }
#endif
    std::free(memory_);
  }

  bool empty() const { return memory_ == nullptr; }

  // nullptr: there is no room.
  uint8_t* Take(uint64_t bytes) {
    if (bytes > bytes_ - used_) return nullptr;
    uint8_t* taken = static_cast<uint8_t*>(memory_) + used_;
    used_ += bytes;
    return taken;
  }

 private:
  const bool on_gpu_;
  const uint64_t bytes_;
  void* memory_ = nullptr;
  uint64_t used_ = 0;
};

ResidentStore::ResidentStore(at::Device device, uint64_t capacity_bytes)
    : device_(device),
      capacity_bytes_(capacity_bytes / kAlignment * kAlignment),
      upload_(device),
      usage_{.capacity_bytes = capacity_bytes} {}

ResidentStore::~ResidentStore() = default;

bool ResidentStore::Keep(uint64_t picture, PictureSize size, const uint8_t* pixels) {
  const uint64_t bytes = PixelBytes(size);
  uint8_t* to = nullptr;
  {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(picture);
    if (found != entries_.end()) return found->second.ready;
    to = Reserve(Aligned(bytes));
    if (to == nullptr) return false;
    entries_[picture] = {.picture = {to, size}};
  }
  upload_.Copy(pixels, bytes, to);
  const std::lock_guard lock(mutex_);
  entries_[picture].ready = true;
  ++usage_.pictures;
  usage_.bytes += bytes;
  return true;
}

// Under the lock.
uint8_t* ResidentStore::Reserve(uint64_t bytes) {
  if (!slabs_.empty()) {
    if (uint8_t* taken = slabs_.back().Take(bytes)) return taken;
  }
  const uint64_t left = capacity_bytes_ - slab_bytes_;
  if (full_ || bytes > left) return nullptr;
  const uint64_t slab_bytes = std::min(std::max(kSlabBytes, bytes), left);
  Slab slab(device_, slab_bytes);
  if (slab.empty()) {
    full_ = true;
    return nullptr;
  }
  slab_bytes_ += slab_bytes;
  slabs_.push_back(std::move(slab));
  return slabs_.back().Take(bytes);
}

std::optional<ResidentStore::Picture> ResidentStore::Locate(uint64_t picture) const {
  const std::lock_guard lock(mutex_);
  const auto found = entries_.find(picture);
  if (found == entries_.end() || !found->second.ready) return std::nullopt;
  return found->second.picture;
}

std::optional<PictureSize> ResidentStore::Find(uint64_t picture) const {
  const std::optional<Picture> found = Locate(picture);
  if (!found.has_value()) return std::nullopt;
  return found->size;
}

PictureStore::Usage ResidentStore::usage() const {
  const std::lock_guard lock(mutex_);
  return usage_;
}

}  // namespace mead::train
