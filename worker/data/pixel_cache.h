// Decoded pictures, kept up to a number of bytes so that later epochs need not decode them.
//
// Bound:  when it is full nothing more is kept, and nothing is dropped: each picture is used once
//         per epoch in a new random order, where replacing one by another gains nothing.
// Thread: any.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/dataset/image.h"

namespace mead::data {

class PixelCache {
 public:
  PixelCache(size_t num_pictures, uint64_t capacity_bytes)
      : capacity_bytes_(capacity_bytes), images_(num_pictures) {}

  // nullptr if it is not kept.
  std::shared_ptr<const dataset::Image> Find(size_t picture) const {
    const absl::MutexLock lock(&mutex_);
    return images_[picture];
  }

  void Insert(size_t picture, std::shared_ptr<const dataset::Image> image) {
    const uint64_t bytes = image->pixels.size();
    const absl::MutexLock lock(&mutex_);
    if (images_[picture] != nullptr || used_bytes_ + bytes > capacity_bytes_) return;
    used_bytes_ += bytes;
    images_[picture] = std::move(image);
  }

 private:
  const uint64_t capacity_bytes_;
  mutable absl::Mutex mutex_;
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::shared_ptr<const dataset::Image>> images_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mead::data
