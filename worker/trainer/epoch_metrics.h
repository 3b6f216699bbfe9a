// An epoch's figures by the names that users know (interface: "Metrics").
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "common/base/confusion_matrix.h"
#include "mead/v1/sweep.pb.h"

namespace mead::trainer {

// Of training, over the gang.
struct TrainFigures {
  double loss_sum = 0;  // over samples
  int64_t correct = 0;
  int64_t samples = 0;
  double learning_rate = 0;
  absl::Duration time;
};

// confusion: of the whole evaluation split; val_loss: its mean.
std::map<std::string, double> EpochMetrics(const TrainFigures& figures,
                                           const ConfusionMatrix& confusion, double val_loss,
                                           const std::vector<std::string>& classes);

// What the objective says of an epoch; not a number if the epoch has no such metric. Without a
// name: val/accuracy.
double ObjectiveOf(const v1::Objective& objective, const std::map<std::string, double>& metrics);

// "stopped early after epoch 7: val/accuracy has not risen for 3 epochs".
std::string EarlyStopWords(const v1::Objective& objective, const v1::EarlyStopping& stopping,
                           int epoch);

}  // namespace mead::trainer
