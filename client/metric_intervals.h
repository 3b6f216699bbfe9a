// Confidence intervals of the metrics that are shares of a known number of pictures: val/accuracy
// and val/recall/CLASS. How many pictures there are is the same in every epoch, so that one
// epoch's confusion matrix gives the counts behind all of them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "mead/v1/sweep.pb.h"

namespace mead::client {

class MetricIntervals {
 public:
  // Knows no metric.
  MetricIntervals() = default;
  // A matrix whose counts do not fit its classes gives no metric.
  explicit MetricIntervals(const mead::v1::ConfusionMatrix& confusion);

  bool Knows(const std::string& metric) const { return pictures_.contains(metric); }

  // Wilson's 95 % interval, "0.9230 to 0.9678"; empty where the value is no share of so many
  // pictures.
  std::string Text(const std::string& metric, double value) const;

 private:
  std::map<std::string, int64_t> pictures_;  // by metric; none with 0
};

}  // namespace mead::client
