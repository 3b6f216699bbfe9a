// An epoch's figures by the names that users know (interface: "Metrics").
#pragma once

#include <map>
#include <string>
#include <vector>

#include "common/base/confusion_matrix.h"
#include "mead/v1/sweep.pb.h"
#include "worker/train/session.h"

namespace mead::trainer {

// training: the whole epoch's, over the gang. confusion: of the whole evaluation split; val_loss:
// its mean.
std::map<std::string, double> EpochMetrics(const train::EpochSoFar& training,
                                           const ConfusionMatrix& confusion, double val_loss,
                                           const std::vector<std::string>& classes);

// What the objective says of an epoch; not a number if the epoch has no such metric. Without a
// name: val/accuracy.
double ObjectiveOf(const v1::Objective& objective, const std::map<std::string, double>& metrics);

// "stopped early after epoch 7: val/accuracy has not risen for 3 epochs".
std::string EarlyStopWords(const v1::Objective& objective, const v1::EarlyStopping& stopping,
                           int epoch);

}  // namespace mead::trainer
