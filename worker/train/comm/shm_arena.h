// Which parts of a rank's arena are in use: offsets only, no memory.
//
// First fit, with neighbours joined again when they are freed: a gang asks for a
// few dozen buffers when it starts and when a phase changes, and otherwise for the
// same few staging blocks again and again, which then find their old pages.
// Thread: any; tensors are freed wherever their last owner lets go.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>

namespace mead::train {

class ShmArena {
 public:
  explicit ShmArena(uint64_t capacity_bytes);

  // The offset of `bytes` bytes that nobody else uses, at a page's start; none
  // when the arena is full.
  std::optional<uint64_t> Allocate(uint64_t bytes);
  // offset: as Allocate() returned it.
  void Free(uint64_t offset);

 private:
  std::mutex mutex_;
  std::map<uint64_t, uint64_t> free_;  // offset -> bytes; guarded by mutex_, as is used_
  std::map<uint64_t, uint64_t> used_;  // offset -> bytes
};

}  // namespace mead::train
