#include "worker/train/memory/cpu_pool.h"

#include <c10/core/Allocator.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <mutex>
#include <new>
#include <string>
#include <unordered_map>

namespace mead::train {
namespace {

constexpr size_t kLargeBytes = size_t{64} << 10;
constexpr size_t kPageBytes = 4096;
constexpr size_t kHugePageBytes = size_t{2} << 20;

size_t RoundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

class CpuPool final : public c10::Allocator {
 public:
  c10::DataPtr allocate(size_t bytes) override {
    void* block = bytes < kLargeBytes ? c10::alloc_cpu(bytes) : Take(bytes);
    return {block, block, bytes < kLargeBytes ? &c10::free_cpu : &Return,
            at::Device(at::DeviceType::CPU)};
  }

  c10::DeleterFnPtr raw_deleter() const override { return &ReturnAny; }

  void copy_data(void* to, const void* from, size_t count) const override {
    default_copy_data(to, from, count);
  }

  CpuPoolUse Usage() {
    const std::lock_guard lock(mutex_);
    return {.in_use_bytes = static_cast<int64_t>(in_use_),
            .peak_bytes = static_cast<int64_t>(peak_),
            .cached_bytes = static_cast<int64_t>(cached_)};
  }

  void SetLimit(size_t bytes) {
    const std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

  void Trim() {
    const std::lock_guard lock(mutex_);
    GiveBack(0);
  }

  void ResetPeak() {
    const std::lock_guard lock(mutex_);
    peak_ = in_use_;
  }

  // Never destroyed: tensors with static storage may outlive any order of ends.
  static CpuPool& Get() {
    static auto* pool = new CpuPool;
    return *pool;
  }

 private:
  void* Take(size_t bytes) {
    const std::lock_guard lock(mutex_);
    const size_t size = RoundUp(bytes, bytes < kHugePageBytes ? kPageBytes : kHugePageBytes / 8);
    if (limit_ != 0 && in_use_ + size > limit_) OutOfMemory(bytes);
    const auto fitting = free_.lower_bound(size);
    void* block = nullptr;
    size_t block_size = size;
    if (fitting != free_.end() && fitting->first <= size + size / 4) {
      block_size = fitting->first;
      block = fitting->second;
      cached_ -= block_size;
      free_.erase(fitting);
    } else {
      block = Map(size);
    }
    taken_[block] = block_size;
    in_use_ += block_size;
    peak_ = std::max(peak_, in_use_);
    return block;
  }

  void* Map(size_t size) {
    void* block = TryMap(size);
    if (block == nullptr) {
      GiveBack(0);
      block = TryMap(size);
    }
    if (block == nullptr) OutOfMemory(size);
    return block;
  }

  // In the words by which LibTorch's own allocator is known (tensors.h).
  [[noreturn]] static void OutOfMemory(size_t bytes) {
    TORCH_CHECK(false, "DefaultCPUAllocator: can't allocate memory: you tried to allocate ", bytes,
                " bytes");
  }

  static void* TryMap(size_t size) {
    const bool huge = size >= kHugePageBytes;
    // Aligned to a huge page by mapping one more and cutting the ends off.
    const size_t mapped = huge ? size + kHugePageBytes : size;
    void* base = mmap(nullptr, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return nullptr;
    if (!huge) return base;
    const auto start = reinterpret_cast<uintptr_t>(base);
    const uintptr_t aligned = RoundUp(start, kHugePageBytes);
    if (aligned > start) munmap(base, aligned - start);
    const uintptr_t end = aligned + size;
    if (start + mapped > end) munmap(reinterpret_cast<void*>(end), start + mapped - end);
    auto* block = reinterpret_cast<void*>(aligned);
    madvise(block, size, MADV_HUGEPAGE);  // advice: without huge pages it works all the same
    return block;
  }

  static void Return(void* block) {
    CpuPool& pool = Get();
    const std::lock_guard lock(pool.mutex_);
    const auto taken = pool.taken_.find(block);
    const size_t size = taken->second;
    pool.taken_.erase(taken);
    pool.in_use_ -= size;
    pool.free_.emplace(size, block);
    pool.cached_ += size;
    if (pool.cached_ > pool.peak_ + pool.peak_ / 2) pool.GiveBack(pool.peak_);
  }

  static void ReturnAny(void* block) {
    bool large = false;
    {
      CpuPool& pool = Get();
      const std::lock_guard lock(pool.mutex_);
      large = pool.taken_.contains(block);
    }
    if (large) {
      Return(block);
    } else {
      c10::free_cpu(block);
    }
  }

  // Unmaps free blocks, largest first, until at most `keep` bytes are cached.
  void GiveBack(size_t keep) {
    while (cached_ > keep && !free_.empty()) {
      const auto largest = std::prev(free_.end());
      munmap(largest->second, largest->first);
      cached_ -= largest->first;
      free_.erase(largest);
    }
  }

  std::mutex mutex_;
  // Guarded by mutex_.
  std::multimap<size_t, void*> free_;  // by size
  std::unordered_map<void*, size_t> taken_;
  size_t in_use_ = 0;
  size_t peak_ = 0;
  size_t cached_ = 0;
  size_t limit_ = 0;
};

}  // namespace

void InstallCpuPool(int64_t limit_bytes) {
  CpuPool::Get().SetLimit(static_cast<size_t>(limit_bytes));
  static const bool installed = [] {
    c10::SetCPUAllocator(&CpuPool::Get(), /*priority=*/1);
    return true;
  }();
  static_cast<void>(installed);
}

CpuPoolUse CpuPoolUsage() { return CpuPool::Get().Usage(); }

void ResetCpuPoolPeak() { CpuPool::Get().ResetPeak(); }

void TrimCpuPool() { CpuPool::Get().Trim(); }

}  // namespace mead::train
