#include "worker/trainer/evaluation.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "worker/train/errors.h"

namespace mead::trainer {

Evaluation::Evaluation(const dataset::Manifest& manifest)
    : pictures_(static_cast<int64_t>(manifest.Count(dataset::Split::kVal))),
      record_(manifest),
      confusion_(static_cast<int>(manifest.classes.size())) {}

void Evaluation::Start() {
  record_.Start();
  confusion_ = ConfusionMatrix(confusion_.num_classes());
  loss_ = 0;
}

void Evaluation::Add(std::span<const int32_t> labels, std::span<const uint64_t> indices,
                     const train::EvalResult& result) {
  if (!confusion_.Add(labels, result.predicted).ok()) {
    throw train::TrainError(train::ErrorKind::kInternal,
                            "the model predicted a class that does not exist");
  }
  loss_ += result.loss_sum;
  record_.Add(indices, result.log_probabilities);
}

void Evaluation::Join(train::Communicator& communicator) {
  const auto mine = confusion_.counts();
  std::optional<ConfusionMatrix> sum = ConfusionMatrix::FromCounts(
      confusion_.num_classes(),
      communicator.SumOverRanks(std::vector<int64_t>(mine.begin(), mine.end())));
  if (!sum.has_value() || sum->total() != pictures_) {
    throw train::TrainError(train::ErrorKind::kInternal,
                            "the ranks' confusion matrices do not add up to the validation split");
  }
  confusion_ = *std::move(sum);
  record_.Join(communicator);
  loss_ = communicator.SumOverRanks(std::vector<double>{loss_})[0] /
          static_cast<double>(std::max<int64_t>(1, pictures_));
}

}  // namespace mead::trainer
