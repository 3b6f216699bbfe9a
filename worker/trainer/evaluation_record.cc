#include "worker/trainer/evaluation_record.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "common/base/calibration.h"
#include "common/base/precision_recall.h"
#include "worker/train/errors.h"

namespace mead::trainer {
namespace {

// Sums travel in pieces of this many values, so that joining takes little memory beside
// the record itself.
constexpr size_t kBlockValues = 1u << 20;

}  // namespace

EvaluationRecord::EvaluationRecord(const dataset::Manifest& manifest, uint64_t max_values)
    : kept_(manifest.Count(dataset::Split::kVal) * manifest.classes.size() <= max_values),
      classes_(manifest.classes) {
  if (!kept_) return;
  for (const uint32_t sample : manifest.SamplesOf(dataset::Split::kVal)) {
    keys_.push_back(manifest.samples[sample].key);
    truth_.push_back(static_cast<int32_t>(manifest.samples[sample].class_id));
  }
  Start();
}

void EvaluationRecord::Start() {
  if (!kept_) return;
  values_.assign(truth_.size() * classes_.size(), 0.0f);
  times_.assign(truth_.size(), 0);
}

void EvaluationRecord::Add(std::span<const uint64_t> indices,
                           std::span<const float> log_probabilities) {
  if (!kept_) return;
  const size_t k = classes_.size();
  if (log_probabilities.size() != indices.size() * k) {
    throw train::TrainError(train::ErrorKind::kInternal,
                            std::to_string(log_probabilities.size()) + " probabilities for " +
                                std::to_string(indices.size()) + " pictures of " +
                                std::to_string(k) + " classes");
  }
  for (size_t i = 0; i < indices.size(); ++i) {
    const size_t at = indices[i];
    ++times_.at(at);
    std::copy_n(log_probabilities.begin() + static_cast<std::ptrdiff_t>(i * k), k,
                values_.begin() + static_cast<std::ptrdiff_t>(at * k));
  }
}

// One rank has a picture's values and the others zeros, so that sums are exact.
void EvaluationRecord::Join(train::Communicator& communicator) {
  if (!kept_) return;
  times_ = communicator.SumOverRanks(std::move(times_));
  for (size_t i = 0; i < times_.size(); ++i) {
    if (times_[i] == 1) continue;
    throw train::TrainError(train::ErrorKind::kInternal,
                            "validation picture " + keys_[i] + " was evaluated " +
                                std::to_string(times_[i]) + " times, expected once");
  }
  if (communicator.world_size() == 1) return;
  for (size_t begin = 0; begin < values_.size(); begin += kBlockValues) {
    const auto first = values_.begin() + static_cast<std::ptrdiff_t>(begin);
    const auto count = static_cast<std::ptrdiff_t>(std::min(kBlockValues, values_.size() - begin));
    const std::vector<double> sum =
        communicator.SumOverRanks(std::vector<double>(first, first + count));
    std::transform(sum.begin(), sum.end(), first,
                   [](double value) { return static_cast<float>(value); });
  }
}

void EvaluationRecord::AddMetrics(std::map<std::string, double>& metrics) const {
  if (!kept_) return;
  const Scores all = scores();
  const bool numbers = all.AllFinite();
  const auto value = [numbers](auto compute) {
    return numbers ? compute() : std::numeric_limits<double>::quiet_NaN();
  };
  const double temperature = value([&] { return FitTemperature(all); });
  metrics["val/temperature"] = temperature;
  metrics["val/ece"] = value([&] { return ExpectedCalibrationError(all); });
  metrics["val/ece_scaled"] = value([&] { return ExpectedCalibrationError(all, temperature); });
  for (size_t k = 0; k < classes_.size(); ++k) {
    metrics["val/average_precision/" + classes_[k]] =
        value([&] { return AveragePrecision(PrecisionRecallCurve(all, static_cast<int>(k))); });
  }
}

results::Predictions EvaluationRecord::ToPredictions(const std::string& trial_id, int epoch,
                                                     const std::string& manifest_digest) const {
  return {.trial_id = trial_id,
          .epoch = epoch,
          .manifest_digest = manifest_digest,
          .classes = classes_,
          .keys = keys_,
          .truth = truth_,
          .log_probabilities = values_};
}

}  // namespace mead::trainer
