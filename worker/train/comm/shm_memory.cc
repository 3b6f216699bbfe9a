#include "worker/train/comm/shm_memory.h"

#include <optional>
#include <string>
#include <utility>

#include "worker/train/errors.h"

namespace mead::train {

ShmMemory::ShmMemory(std::unique_ptr<ShmSegment> segment, int rank)
    : segment_(std::move(segment)), rank_(rank), arena_(ShmSegment::kArenaBytes) {}

ShmBlock ShmMemory::Allocate(uint64_t bytes) {
  const std::optional<uint64_t> offset = arena_.Allocate(bytes);
  if (!offset) {
    throw TrainError(ErrorKind::kOutOfMemory, "no room for " + std::to_string(bytes) +
                                                  " more bytes in the gang's shared memory");
  }
  return {segment_->arena(rank_) + *offset,
          [self = shared_from_this(), offset = *offset](std::byte*) { self->arena_.Free(offset); }};
}

}  // namespace mead::train
