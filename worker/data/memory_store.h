// Decoded pictures in this process's memory.
//
// Bound:  when it is full nothing more is kept, and nothing is dropped: each picture is used once
//         per epoch in a new random order, where replacing one by another gains nothing.
// Thread: any.
#pragma once

#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "worker/data/decoded_store.h"

namespace mead::data {

class MemoryStore : public DecodedStore {
 public:
  MemoryStore(size_t num_pictures, uint64_t capacity_bytes)
      : capacity_bytes_(capacity_bytes), images_(num_pictures) {}

  std::optional<DecodedPicture> Find(size_t picture) override {
    const absl::MutexLock lock(&mutex_);
    const auto& image = images_[picture];
    if (image == nullptr) return std::nullopt;
    return DecodedPicture{{image->width, image->height}, image->pixels.data(), image};
  }

  bool Keep(size_t picture, const std::shared_ptr<const dataset::Image>& image) override {
    const uint64_t bytes = image->pixels.size();
    const absl::MutexLock lock(&mutex_);
    if (images_[picture] != nullptr) return true;
    if (used_bytes_ + bytes > capacity_bytes_) return false;
    used_bytes_ += bytes;
    images_[picture] = image;
    return true;
  }

  bool KeepForOthers(size_t, const std::shared_ptr<const dataset::Image>&) override {
    return false;
  }

 private:
  const uint64_t capacity_bytes_;
  absl::Mutex mutex_;
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::shared_ptr<const dataset::Image>> images_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mead::data
