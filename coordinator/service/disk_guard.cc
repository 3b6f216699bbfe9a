#include "coordinator/service/disk_guard.h"

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace mead::service {
namespace {

std::string Mebibytes(uint64_t bytes) { return absl::StrCat(bytes >> 20, " MiB"); }

}  // namespace

uint64_t DiskGuard::FreeBytes() {
  constexpr absl::Duration kFresh = absl::Milliseconds(500);
  absl::MutexLock lock(&mu_);
  const absl::Time now = clock_.Now();
  if (now - looked_at_ >= kFresh) {
    const absl::StatusOr<uint64_t> bytes = mead::FreeBytes(dir_);
    free_bytes_ = bytes.ok() ? *bytes : 0;
    looked_at_ = now;
  }
  return free_bytes_;
}

absl::Status DiskGuard::Admit(uint64_t bytes) {
  const uint64_t free = FreeBytes();
  if (free >= min_free_bytes_ && free - min_free_bytes_ >= bytes) return absl::OkStatus();
  return absl::ResourceExhaustedError(absl::StrCat(
      "the coordinator's disk is nearly full: ", Mebibytes(free), " free under ", dir_.string(),
      bytes > 0 ? absl::StrCat(", ", Mebibytes(bytes), " to be stored") : "", ", and ",
      Mebibytes(min_free_bytes_),
      " are kept back (--min-free-bytes). New work is refused until there is room: free space "
      "there, or remove data sets ('mead dataset remove'). Running trials and reads go on"));
}

}  // namespace mead::service
