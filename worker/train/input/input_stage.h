// Brings batches to the device and turns pixels into the network's input.
//
// On a GPU pixels go through pinned memory, two batches deep, on a stream of their
// own: the next batch travels while the last one is computed. Pictures that a store
// holds are rendered from there instead, on the same stream; where a picture came
// from does not change a byte. What is mixed (mixup, CutMix) is mixed on the device, of
// pixels that are all there, in the same integers on CPU and GPU.
// Thread: the train thread owns it.
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "common/augment/mix.h"
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
  // Of mixed pictures; otherwise undefined.
  at::Tensor partner_labels = {};  // [n], int64
  at::Tensor partner_shares = {};  // [n], float32, [0, 1]

  bool mixed() const { return partner_labels.defined(); }
  int64_t size() const { return labels.size(0); }
  DeviceBatch Part(int64_t begin, int64_t count) const {
    const auto part = [&](const at::Tensor& whole) {
      return whole.defined() ? whole.narrow(0, begin, count) : whole;
    };
    return {part(pixels), part(labels), compute, part(partner_labels), part(partner_shares)};
  }
  // [n, 3, H, W], normalised, channels_last, of the compute type.
  at::Tensor Normalised() const;
};

class InputStage {
 public:
  // largest: pictures; a batch has no more. compute: float32 or bfloat16. mixes: whether some
  // batches come with what is mixed in them.
  InputStage(at::Device device, at::ScalarType compute, int64_t largest, int64_t side,
             bool mixes = false);
  ~InputStage();

  int64_t largest() const { return labels_.size(0); }

  // Whose pictures plans name from here on; on the same device.
  void UseStore(std::shared_ptr<ResidentStore> store) { store_ = std::move(store); }

  // pixels: [n, side, side, 3], uint8, RGB; labels: [n]; planned: [n] or null: the
  // places that are rendered, whose pixels are not looked at. All in host memory, free
  // again on return; pixels may be null where every place is rendered. What is returned
  // is valid until the next call, in the order of the device's current stream, and on
  // a GPU always at the same address.
  // mix: or null. With it pixels, labels and planned are [mix->pictures], the first n of
  // which are the batch.
  // Errors: kInternal (a plan for a picture that the store does not hold).
  DeviceBatch Load(const uint8_t* pixels, const int32_t* labels, int64_t n,
                   const PlannedPicture* planned = nullptr, const BatchMix* mix = nullptr);

 private:
  struct Gpu;

  // All places of a batch, n of them, before any mixing; [n, side, side, 3], uint8.
  at::Tensor GatherOnCpu(const uint8_t* pixels, int64_t n, const PlannedPicture* planned);
  DeviceBatch LoadOnCpu(const uint8_t* pixels, const int32_t* labels, int64_t n,
                        const PlannedPicture* planned, const BatchMix* mix);
  std::vector<RenderJob> JobsOf(const PlannedPicture* planned, int64_t n) const;

  const at::Device device_;
  const at::ScalarType compute_;
  const int64_t side_;
  std::shared_ptr<ResidentStore> store_;  // or none
  at::Tensor pixels_;  // [largest, side, side, 3], uint8, on the device; on a CPU once planned
  at::Tensor labels_;  // [largest], int64, on the device
  // Where batches are mixed: [largest], on the device; see DeviceBatch.
  at::Tensor partner_labels_, partner_shares_;
  at::Tensor mixed_;  // [largest, side, side, 3], uint8, on a CPU once mixed
  std::unique_ptr<Gpu> gpu_;
};

}  // namespace mead::train
