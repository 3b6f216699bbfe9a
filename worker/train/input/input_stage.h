// Brings a batch's pixels to the device as the network's input.
#pragma once

#include <cstdint>

#include "worker/train/tensors.h"

namespace mead::train {

class InputStage {
 public:
  InputStage(at::Device device, bool bf16)
      : device_(device), type_(bf16 ? at::kBFloat16 : at::kFloat) {}

  // pixels: [n, side, side, 3], uint8, RGB, in host memory.
  // Returns [n, 3, side, side], normalised, channels_last, on the device.
  at::Tensor Load(const uint8_t* pixels, int64_t n, int64_t side);

 private:
  at::Device device_;
  at::ScalarType type_;
};

}  // namespace mead::train
