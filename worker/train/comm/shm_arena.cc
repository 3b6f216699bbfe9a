#include "worker/train/comm/shm_arena.h"

#include <algorithm>
#include <iterator>

namespace mead::train {

ShmArena::ShmArena(uint64_t capacity_bytes) : free_{{0, capacity_bytes}} {}

std::optional<uint64_t> ShmArena::Allocate(uint64_t bytes) {
  constexpr uint64_t kPageBytes = 4096;
  const uint64_t needed = std::max<uint64_t>((bytes + kPageBytes - 1) / kPageBytes, 1) * kPageBytes;
  const std::lock_guard lock(mutex_);
  const auto hole = std::find_if(free_.begin(), free_.end(),
                                 [&](const auto& entry) { return entry.second >= needed; });
  if (hole == free_.end()) return std::nullopt;
  const auto [offset, size] = *hole;
  free_.erase(hole);
  if (size > needed) free_.emplace(offset + needed, size - needed);
  used_.emplace(offset, needed);
  return offset;
}

void ShmArena::Free(uint64_t offset) {
  const std::lock_guard lock(mutex_);
  const auto block = used_.find(offset);
  auto hole = free_.emplace(offset, block->second).first;
  used_.erase(block);
  if (const auto next = std::next(hole);
      next != free_.end() && hole->first + hole->second == next->first) {
    hole->second += next->second;
    free_.erase(next);
  }
  if (hole == free_.begin()) return;
  if (const auto before = std::prev(hole); before->first + before->second == hole->first) {
    before->second += hole->second;
    free_.erase(hole);
  }
}

}  // namespace mead::train
