// Where decoded pictures stay on a device, so that later epochs send plans instead of pixels.
//
// The data plane offers what it decodes and asks what is there; the training step renders the
// plans (worker/train/input/resident_store.h is the store).
#pragma once

#include <cstdint>
#include <optional>

#include "common/augment/augment_plan.h"

namespace mead {

// Thread: any.
class PictureStore {
 public:
  struct Usage {
    uint64_t pictures = 0;
    uint64_t bytes = 0;           // of their pixels
    uint64_t capacity_bytes = 0;  // may be used at most
  };

  virtual ~PictureStore() = default;

  // Copies a picture's pixels ([height, width, 3], uint8, RGB) unless it is there already.
  // Returns whether it can be rendered from here on; false: there is no room.
  // Errors: an exception where the device fails.
  virtual bool Keep(uint64_t picture, PictureSize size, const uint8_t* pixels) = 0;

  // The size of a picture that can be rendered.
  virtual std::optional<PictureSize> Find(uint64_t picture) const = 0;

  virtual Usage usage() const = 0;
};

// A place of a batch: what of the store is to be rendered there.
struct PlannedPicture {
  static constexpr int64_t kNone = -1;  // nothing: the place has pixels

  int64_t picture = kNone;
  AugmentPlan plan;
};

}  // namespace mead
