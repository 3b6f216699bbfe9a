// An array in the middle of a larger one, whose other bytes nobody may write.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace mead::train {

template <typename T>
class Guarded {
 public:
  explicit Guarded(size_t size) : bytes_(2 * kGuard + size * sizeof(T), kFill), size_(size) {}

  T* data() { return reinterpret_cast<T*>(bytes_.data() + kGuard); }
  const T& operator[](size_t i) const {
    return reinterpret_cast<const T*>(bytes_.data() + kGuard)[i];
  }
  size_t size() const { return size_; }
  bool untouched_around() const {
    const auto filled = [](uint8_t byte) { return byte == kFill; };
    return std::all_of(bytes_.begin(), bytes_.begin() + kGuard, filled) &&
           std::all_of(bytes_.end() - kGuard, bytes_.end(), filled);
  }

 private:
  static constexpr ptrdiff_t kGuard = 512;
  static constexpr uint8_t kFill = 0xa5;
  std::vector<uint8_t> bytes_;
  size_t size_;
};

}  // namespace mead::train
