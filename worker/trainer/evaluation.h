// One evaluation of the validation split, from every rank's share to what all of them agree on.
//
// Thread: the train thread. All ranks make the same calls.
// Errors: TrainError kInternal (shares that do not add up to the split; see evaluation_record.h).
#pragma once

#include <cstdint>
#include <span>

#include "common/base/confusion_matrix.h"
#include "common/dataset/manifest.h"
#include "worker/train/comm/communicator.h"
#include "worker/train/session.h"
#include "worker/trainer/evaluation_record.h"

namespace mead::trainer {

class Evaluation {
 public:
  explicit Evaluation(const dataset::Manifest& manifest);

  // Forgets the last one.
  void Start();
  // Some pictures of this rank. labels, indices: [n]; indices within the split.
  void Add(std::span<const int32_t> labels, std::span<const uint64_t> indices,
           const train::EvalResult& result);
  // Every rank calls it once it has added all of its pictures; then each has everybody's.
  void Join(train::Communicator& communicator);

  // After Join.
  const ConfusionMatrix& confusion() const { return confusion_; }
  double loss() const { return loss_; }  // the mean over the split
  const EvaluationRecord& record() const { return record_; }

 private:
  const int64_t pictures_;  // of the split
  EvaluationRecord record_;
  ConfusionMatrix confusion_;  // this rank's until Join
  double loss_ = 0;            // this rank's sum until Join
};

}  // namespace mead::trainer
