// Bytes that are read by offset: a file, or in tests a string.
//
// Thread: one thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace mead::train {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  virtual const std::string& path() const = 0;  // for messages
  virtual int64_t bytes() const = 0;
  // Fills `destination` with the `count` bytes from `offset` on.
  // Errors: kUserError (they are not all there, or cannot be read).
  virtual void Read(int64_t offset, void* destination, size_t count) const = 0;
};

}  // namespace mead::train
