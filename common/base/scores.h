// What a classifier said about the pictures of a split: a view of its
// log-probabilities beside the true classes. What follows from them is in
// calibration.h and precision_recall.h.
//
// Shape:  log_probabilities is [N, K], row-major; truth is [N], class ids in [0, K).
// Units:  natural logarithms of softmax outputs (each row sums to 1 after exp).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>

namespace mead {

struct Scores {
  std::span<const float> log_probabilities;
  std::span<const int32_t> truth;
  int num_classes = 0;

  size_t size() const { return truth.size(); }
  std::span<const float> row(size_t i) const {
    const auto k = static_cast<size_t>(num_classes);
    return log_probabilities.subspan(i * k, k);
  }
  // The class with the largest probability; of equal ones the first, as argmax has it.
  int32_t Predicted(size_t i) const {
    const std::span<const float> values = row(i);
    size_t best = 0;
    for (size_t k = 1; k < values.size(); ++k) {
      if (values[k] > values[best]) best = k;
    }
    return static_cast<int32_t>(best);
  }
  double Loss(size_t i) const { return -double{row(i)[static_cast<size_t>(truth[i])]}; }
  // A diverged network's are not.
  bool AllFinite() const {
    for (const float value : log_probabilities) {
      if (!std::isfinite(value)) return false;
    }
    return true;
  }
};

}  // namespace mead
