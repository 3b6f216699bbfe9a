// Brings batches to the device and turns pixels into the network's input.
//
// On a GPU pixels go through pinned memory, two batches deep, on a stream of their
// own: the next batch travels while the last one is computed.
// Thread: the train thread owns it.
#pragma once

#include <cstdint>
#include <memory>

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

  // pixels: [n, side, side, 3], uint8, RGB; labels: [n], both in host memory, free
  // again on return. What is returned is valid until the next call, in the order
  // of the device's current stream, and always at the same address.
  DeviceBatch Load(const uint8_t* pixels, const int32_t* labels, int64_t n);

 private:
  struct Gpu;

  const at::Device device_;
  const at::ScalarType compute_;
  const int64_t side_;
  at::Tensor pixels_;  // [largest, side, side, 3], uint8, on the device
  at::Tensor labels_;  // [largest], int64, on the device
  std::unique_ptr<Gpu> gpu_;
};

}  // namespace mead::train
