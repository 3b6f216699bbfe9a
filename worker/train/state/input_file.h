// A regular file, read by offset.
//
// Read, not mapped: a file that shrinks meanwhile is then an error, and no SIGBUS.
// Errors: TrainError (kUserError) naming the file.
#pragma once

#include <string>

#include "worker/train/state/byte_source.h"

namespace mead::train {

class InputFile final : public ByteSource {
 public:
  static InputFile Open(const std::string& path);
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  ~InputFile() override;

  const std::string& path() const override { return path_; }
  int64_t bytes() const override { return bytes_; }
  void Read(int64_t offset, void* destination, size_t count) const override;

 private:
  InputFile(std::string path, int descriptor);

  std::string path_;
  int descriptor_;
  int64_t bytes_ = 0;
};

}  // namespace mead::train
