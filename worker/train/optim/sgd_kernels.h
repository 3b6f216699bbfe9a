// What SGD's kernels are given, on the CPU and on a GPU.
//
// Free of LibTorch and of inline functions of the standard library (see
// simd/tables.h), and of what only one of the two compilers knows.
#pragma once

#include <cstdint>

#include "worker/train/simd/tables.h"

namespace mead::train {

struct SgdSettings {
  double weight_decay = 0;
  double momentum = 0;
  bool nesterov = false;
};

// One parameter and what belongs to it: `size` elements each.
struct SgdTensor {
  const float* gradient = nullptr;
  float* momentum = nullptr;  // null without momentum
  float* weight = nullptr;
  Bf16Storage* copy = nullptr;  // or null: the weight in bfloat16, to nearest even
  int64_t size = 0;
};

}  // namespace mead::train
