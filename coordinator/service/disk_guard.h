// Keeps the last bytes of the coordinator's disk for what already runs: below a
// floor, new work (sweeps, data sets, uploads) is refused with what to do, while
// reads and the journal of running trials go on.
//
// Thread: every method may be called from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"

namespace mead::service {

class DiskGuard {
 public:
  DiskGuard(std::filesystem::path dir, uint64_t min_free_bytes, Clock& clock)
      : dir_(std::move(dir)), min_free_bytes_(min_free_bytes), clock_(clock) {}

  // Looked up at most twice a second. 0 if the disk cannot be asked.
  [[nodiscard]] uint64_t FreeBytes();

  // RESOURCE_EXHAUSTED while there is less than the floor, plus what the caller
  // is about to write.
  [[nodiscard]] absl::Status Admit(uint64_t bytes = 0);

 private:
  // Constant after construction.
  const std::filesystem::path dir_;
  const uint64_t min_free_bytes_;
  Clock& clock_;

  absl::Mutex mu_;
  absl::Time looked_at_ ABSL_GUARDED_BY(mu_) = absl::InfinitePast();
  uint64_t free_bytes_ ABSL_GUARDED_BY(mu_) = 0;
};

}  // namespace mead::service
