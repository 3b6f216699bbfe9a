// Files, with errors that name them.
//
// Errors: NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED (disk or quota full),
//   UNAVAILABLE or INTERNAL for what else the system may say; the message holds
//   the path and the system's reason.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mead {

[[nodiscard]] absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path);

// Writes aside, syncs, renames over `path` and syncs the folder: after a crash
// the file is the old one or the new one, and after a success the new one.
[[nodiscard]] absl::Status WriteFileAtomically(const std::filesystem::path& path,
                                               std::string_view data);

// Makes the folder and those above it; existing ones are fine.
[[nodiscard]] absl::Status MakeDirs(const std::filesystem::path& path);

// Makes names created, renamed or removed in the folder durable.
[[nodiscard]] absl::Status SyncDir(const std::filesystem::path& path);

// Bytes that an ordinary user can still write on the file system of `path`.
[[nodiscard]] absl::StatusOr<uint64_t> FreeBytes(const std::filesystem::path& path);

// Writes all of `data` to an open file.
[[nodiscard]] absl::Status WriteFully(int fd, std::string_view data, std::string_view name);

// A file descriptor that closes itself.
class ScopedFd {
 public:
  ScopedFd() = default;
  explicit ScopedFd(int fd) : fd_(fd) {}
  ~ScopedFd() { Reset(); }
  ScopedFd(ScopedFd&& other) noexcept : fd_(other.Release()) {}
  ScopedFd& operator=(ScopedFd&& other) noexcept {
    if (this != &other) {
      Reset();
      fd_ = other.Release();
    }
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }
  int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }
  void Reset();

 private:
  int fd_ = -1;
};

}  // namespace mead
