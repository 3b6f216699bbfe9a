// The data folder's disk: enough room, and one coordinator at a time.
#pragma once

#include <cstdint>
#include <filesystem>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/files.h"

namespace mead::store {

// Whether new work may start: work under way needs the rest of the disk for
// checkpoints and for the journal.
// Errors: RESOURCE_EXHAUSTED with both figures, the folder and the remedy.
[[nodiscard]] absl::Status CheckDiskSpace(const std::filesystem::path& dir,
                                          uint64_t min_free_bytes);

// Holds DIR/LOCK (flock) while it lives; the kernel lets go of it however the
// process ends.
class DirLock {
 public:
  // Errors: FAILED_PRECONDITION (names the process that has it), and files.h's.
  [[nodiscard]] static absl::StatusOr<DirLock> Acquire(const std::filesystem::path& dir);

 private:
  explicit DirLock(ScopedFd fd) : fd_(std::move(fd)) {}
  ScopedFd fd_;
};

}  // namespace mead::store
