#include "common/base/confusion_matrix.h"

#include <algorithm>
#include <functional>
#include <numeric>
#include <utility>

#include "common/base/check.h"

namespace mead {
namespace {

size_t SquareOf(int num_classes) {
  MEAD_CHECK(num_classes > 0, "a classifier has at least one class");
  return static_cast<size_t>(num_classes) * static_cast<size_t>(num_classes);
}

}  // namespace

ConfusionMatrix::ConfusionMatrix(int num_classes)
    : num_classes_(num_classes), counts_(SquareOf(num_classes)) {}

std::optional<ConfusionMatrix> ConfusionMatrix::FromCounts(int num_classes,
                                                           std::vector<int64_t> counts) {
  if (num_classes <= 0 || counts.size() != SquareOf(num_classes) ||
      std::ranges::any_of(counts, [](int64_t count) { return count < 0; })) {
    return std::nullopt;
  }
  ConfusionMatrix matrix(num_classes);
  matrix.counts_ = std::move(counts);
  return matrix;
}

AddResult ConfusionMatrix::Add(std::span<const int32_t> truth, std::span<const int32_t> predicted) {
  if (truth.size() != predicted.size()) return {AddResult::Code::kLengthMismatch, 0};
  const auto valid = [this](int32_t id) { return id >= 0 && id < num_classes_; };
  for (size_t i = 0; i < truth.size(); ++i) {
    if (!valid(truth[i]) || !valid(predicted[i])) return {AddResult::Code::kOutOfRange, i};
  }
  const size_t k = static_cast<size_t>(num_classes_);
  for (size_t i = 0; i < truth.size(); ++i) {
    ++counts_[static_cast<size_t>(truth[i]) * k + static_cast<size_t>(predicted[i])];
  }
  return {};
}

void ConfusionMatrix::Merge(const ConfusionMatrix& other) {
  MEAD_CHECK(num_classes_ == other.num_classes_, "only matrices of the same classes can be added");
  std::ranges::transform(counts_, other.counts_, counts_.begin(), std::plus<>());
}

int64_t ConfusionMatrix::at(int truth, int predicted) const {
  MEAD_CHECK(truth >= 0 && truth < num_classes_ && predicted >= 0 && predicted < num_classes_,
             "no such class");
  return counts_[static_cast<size_t>(truth) * static_cast<size_t>(num_classes_) +
                 static_cast<size_t>(predicted)];
}

int64_t ConfusionMatrix::total() const {
  return std::accumulate(counts_.begin(), counts_.end(), int64_t{0});
}

}  // namespace mead
