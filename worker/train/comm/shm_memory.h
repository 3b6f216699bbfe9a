// This rank's arena of a segment, handed out in blocks.
//
// Blocks may outlive the communicator, so they own the memory together with it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "worker/train/comm/shm_arena.h"
#include "worker/train/comm/shm_segment.h"

namespace mead::train {

// Bytes of this rank's arena, at a page's start; free again with their last owner.
using ShmBlock = std::shared_ptr<std::byte>;

// Thread: any.
class ShmMemory : public std::enable_shared_from_this<ShmMemory> {
 public:
  ShmMemory(std::unique_ptr<ShmSegment> segment, int rank);

  ShmSegment& segment() { return *segment_; }
  // Contents are whatever was there. Errors: TrainError kOutOfMemory.
  ShmBlock Allocate(uint64_t bytes);

 private:
  const std::unique_ptr<ShmSegment> segment_;
  const int rank_;
  ShmArena arena_;
};

}  // namespace mead::train
