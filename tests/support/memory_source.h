// Bytes in memory, for readers of files.
#pragma once

#include <cstring>
#include <string>
#include <utility>

#include "worker/train/errors.h"
#include "worker/train/state/byte_source.h"

namespace mead::testing {

class MemorySource final : public train::ByteSource {
 public:
  explicit MemorySource(std::string content) : content_(std::move(content)) {}

  const std::string& path() const override { return path_; }
  int64_t bytes() const override { return static_cast<int64_t>(content_.size()); }
  void Read(int64_t offset, void* destination, size_t count) const override {
    if (count == 0) return;
    if (offset < 0 || offset > bytes() || count > static_cast<size_t>(bytes() - offset)) {
      throw train::TrainError(
          train::ErrorKind::kUserError,
          path_ + ": cannot be read at byte " + std::to_string(offset) + ": the file ends there");
    }
    std::memcpy(destination, content_.data() + offset, count);
  }

 private:
  std::string path_ = "weights.pth";
  std::string content_;
};

}  // namespace mead::testing
