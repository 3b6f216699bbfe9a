// A folder of one command, that nobody else may read; removed with it.
//
// Thread: one at a time.
// Errors: those of the system, naming the folder.
#pragma once

#include <filesystem>
#include <utility>

#include "absl/status/statusor.h"

namespace mead::client {

class ScratchFolder {
 public:
  // In `parent`, which is made if missing.
  [[nodiscard]] static absl::StatusOr<ScratchFolder> MakeIn(const std::filesystem::path& parent);
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, {})) {}
  ~ScratchFolder() { Remove(); }

  const std::filesystem::path& path() const { return path_; }
  // Before its time, where the process is about to end.
  void Remove() const;

 private:
  explicit ScratchFolder(std::filesystem::path path) : path_(std::move(path)) {}
  std::filesystem::path path_;
};

}  // namespace mead::client
