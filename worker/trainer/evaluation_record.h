// What the model said about every validation picture, gathered from all ranks: for the
// predictions file, and for figures that need more than counts (calibration, average
// precision).
//
// Shape:  log_probabilities is [N, K], in the manifest's order of the validation split.
// Bound:  splits of more than kMaxRecordValues values (N * K) are not recorded; then there
//         are neither predictions nor those figures, and kept() says so.
// Thread: the train thread.
// Errors: TrainError kInternal (a picture that no rank or several ranks evaluated).
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "common/base/scores.h"
#include "common/dataset/manifest.h"
#include "common/results/predictions.h"
#include "worker/train/comm/communicator.h"

namespace mead::trainer {

inline constexpr uint64_t kMaxRecordValues = 16u << 20;  // 64 MiB on every rank

class EvaluationRecord {
 public:
  // max_values: smaller in tests.
  explicit EvaluationRecord(const dataset::Manifest& manifest,
                            uint64_t max_values = kMaxRecordValues);

  bool kept() const { return kept_; }
  // Forgets the last evaluation.
  void Start();
  // Some pictures of this rank. indices: [n], within the split; log_probabilities: [n, K].
  void Add(std::span<const uint64_t> indices, std::span<const float> log_probabilities);
  // Every rank calls it once it has added all of its pictures; then each has everybody's.
  void Join(train::Communicator& communicator);

  // After Join.
  Scores scores() const { return {values_, truth_, static_cast<int>(classes_.size())}; }

  // val/ece, val/temperature, val/ece_scaled and val/average_precision/<class>, into `metrics`;
  // of a network that has diverged none of them is a number.
  void AddMetrics(std::map<std::string, double>& metrics) const;

  results::Predictions ToPredictions(const std::string& trial_id, int epoch,
                                     const std::string& manifest_digest) const;

 private:
  const bool kept_;
  const std::vector<std::string> classes_;
  std::vector<std::string> keys_;
  std::vector<int32_t> truth_;
  std::vector<float> values_;   // [N, K]; zeros for what other ranks evaluate
  std::vector<int64_t> times_;  // [N], how often a picture was evaluated
};

}  // namespace mead::trainer
