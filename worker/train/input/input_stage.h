// Brings batches to the device and turns pixels into the network's input.
//
// On a GPU pixels go through pinned memory, two batches deep, on a stream of their
// own: the next batch travels while the last one is computed. Pictures that a store
// holds are rendered from there instead, on the same stream; where a picture came
// from does not change a byte.
// Thread: the train thread owns it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/augment/picture_store.h"
#include "worker/train/input/render_jobs.h"
#include "worker/train/input/resident_store.h"
#include "worker/train/tensors.h"

namespace mead::train {

// A batch, or a part of one, on the device.
struct DeviceBatch {
  at::Tensor pixels;  // [n, H, W, 3], uint8, RGB
  at::Tensor labels;  // [n], int64
  at::ScalarType compute = at::kFloat;

  int64_t size() const { return labels.size(0); }
  DeviceBatch Part(int64_t begin, int64_t count) const {
    return {pixels.narrow(0, begin, count), labels.narrow(0, begin, count), compute};
  }
  // [n, 3, H, W], normalised, channels_last, of the compute type.
  at::Tensor Normalised() const;
};

class InputStage {
 public:
  // largest: pictures; a batch has no more. compute: float32 or bfloat16.
  InputStage(at::Device device, at::ScalarType compute, int64_t largest, int64_t side);
  ~InputStage();

  int64_t largest() const { return labels_.size(0); }

  // Whose pictures plans name from here on; on the same device.
  void UseStore(std::shared_ptr<ResidentStore> store) { store_ = std::move(store); }

  // pixels: [n, side, side, 3], uint8, RGB; labels: [n]; planned: [n] or null: the
  // places that are rendered, whose pixels are not looked at. All in host memory, free
  // again on return; pixels may be null where every place is rendered. What is returned
  // is valid until the next call, in the order of the device's current stream, and on
  // a GPU always at the same address.
  // Errors: kInternal (a plan for a picture that the store does not hold).
  DeviceBatch Load(const uint8_t* pixels, const int32_t* labels, int64_t n,
                   const PlannedPicture* planned = nullptr);

 private:
  struct Gpu;

  DeviceBatch LoadOnCpu(const uint8_t* pixels, const int32_t* labels, int64_t n,
                        const PlannedPicture* planned);
  std::vector<RenderJob> JobsOf(const PlannedPicture* planned, int64_t n) const;

  const at::Device device_;
  const at::ScalarType compute_;
  const int64_t side_;
  std::shared_ptr<ResidentStore> store_;  // or none
  at::Tensor pixels_;  // [largest, side, side, 3], uint8, on the device; on a CPU once planned
  at::Tensor labels_;  // [largest], int64, on the device
  std::unique_ptr<Gpu> gpu_;
};

}  // namespace mead::train
