// What is known of a step once it has ended.
#pragma once

#include <cstdint>

namespace mead::train {

// Figures of one optimizer step over the whole gang, the same on every rank.
struct StepResult {
  double loss = 0;           // mean over the global batch
  int64_t correct = 0;       // of the global batch, top-1
  int64_t samples = 0;       // the global batch's size
  double learning_rate = 0;  // the head's
};

}  // namespace mead::train
