// One coordinator at a time in a data folder.
#pragma once

#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"
#include "common/files.h"

namespace mead::store {

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
