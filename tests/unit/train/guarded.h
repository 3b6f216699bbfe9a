// An array in the middle of a larger one, whose other bytes nobody may write. It is aligned
// as LibTorch's memory is, to 64 bytes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mead::train {

template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t size) : bytes_(2 * kGuard + size * sizeof(T), kFill), size_(size) {
    const auto address = reinterpret_cast<uintptr_t>(bytes_.data());
    begin_ = kGuard / 2 + kAlignment - (address + kGuard / 2) % kAlignment;
  }
  Guarded(const Guarded&) = delete;
  Guarded& operator=(const Guarded&) = delete;

  T* data() { return reinterpret_cast<T*>(bytes_.data() + begin_); }
  const T& operator[](size_t i) const {
    return reinterpret_cast<const T*>(bytes_.data() + begin_)[i];
  }
  size_t size() const { return size_; }
  bool untouched_around() const {
    const auto filled = [](uint8_t byte) { return byte == kFill; };
    const auto begin = bytes_.begin() + static_cast<ptrdiff_t>(begin_);
    const auto end = begin + static_cast<ptrdiff_t>(size_ * sizeof(T));
    return std::all_of(bytes_.begin(), begin, filled) && std::all_of(end, bytes_.end(), filled);
  }

 private:
  static constexpr size_t kGuard = 512;
  static constexpr size_t kAlignment = 64;
  static constexpr uint8_t kFill = 0xa5;
  std::vector<uint8_t> bytes_;
  size_t size_;
  size_t begin_;  // of the array, in bytes_
};

}  // namespace mead::train
