// Confusion matrix of a K-class classifier, accumulated in exact integers.
//
// Shape:  counts is [K, K], row-major; row = true class, column = predicted.
// Units:  samples (int64), so Merge() is exact and order-free across ranks.
// Source: sklearn.metrics.confusion_matrix (C[i][j]: known i, predicted j).
// Thread: not thread-safe; one evaluator thread owns an instance.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mead {

struct AddResult {
  enum class Code { kOk, kLengthMismatch, kOutOfRange };
  Code code = Code::kOk;
  size_t index = 0;  // kOutOfRange: the first position with a bad class id
  bool ok() const { return code == Code::kOk; }
};

class ConfusionMatrix {
 public:
  // num_classes: at least 1.
  explicit ConfusionMatrix(int num_classes);

  // From counts summed elsewhere, e.g. over ranks. nullopt unless there are
  // num_classes squared of them, none negative.
  static std::optional<ConfusionMatrix> FromCounts(int num_classes, std::vector<int64_t> counts);

  // Counts N predictions. truth, predicted: [N], class ids in [0, K).
  // Errors: kLengthMismatch; kOutOfRange naming the first bad index. On error nothing is counted.
  [[nodiscard]] AddResult Add(std::span<const int32_t> truth, std::span<const int32_t> predicted);
  // Adds the counts of a matrix with as many classes.
  void Merge(const ConfusionMatrix& other);

  int num_classes() const { return num_classes_; }
  std::span<const int64_t> counts() const { return counts_; }
  int64_t at(int truth, int predicted) const;
  int64_t total() const;

  bool operator==(const ConfusionMatrix&) const = default;

 private:
  int num_classes_;
  std::vector<int64_t> counts_;  // [K, K]
};

}  // namespace mead
