// Decoded pictures in the device's memory: filled as they come in the first epoch, rendered
// from there in later ones.
//
// Memory: taken in slabs as pictures come, so that a small data set takes little, up to a
//         bound; then, or when the device has no more, nothing further is kept and nothing is
//         dropped. It does not come from LibTorch's allocator: that would hold it beyond the
//         store's life, and count it among what a step needs.
// Thread: any, but AwaitPictures: the train thread.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/augment/picture_store.h"
#include "worker/train/input/upload.h"
#include "worker/train/tensors.h"

namespace mead::train {

class ResidentStore : public PictureStore {
 public:
  ResidentStore(at::Device device, uint64_t capacity_bytes);
  ~ResidentStore() override;

  bool Keep(uint64_t picture, PictureSize size, const uint8_t* pixels) override;
  std::optional<PictureSize> Find(uint64_t picture) const override;
  Usage usage() const override;

  struct Picture {
    const uint8_t* pixels;  // [size.height, size.width, 3], uint8, on the device
    PictureSize size;
  };
  // Where a picture lies, for as long as the store lives.
  std::optional<Picture> Locate(uint64_t picture) const;

  // What is queued on the thread's current stream from here on finds the pictures that could
  // be located before.
  void AwaitPictures() { upload_.AwaitCopies(); }

 private:
  struct Entry {
    Picture picture;
    bool ready = false;  // its copy is under way or done
  };
  class Slab;

  uint8_t* Reserve(uint64_t bytes);

  // Constant after construction.
  const at::Device device_;
  const uint64_t capacity_bytes_;

  Upload upload_;
  mutable std::mutex mutex_;  // of what follows
  std::unordered_map<uint64_t, Entry> entries_;
  std::vector<Slab> slabs_;  // the last has room
  uint64_t slab_bytes_ = 0;  // of all
  bool full_ = false;        // the device gave no further slab
  Usage usage_;
};

}  // namespace mead::train
