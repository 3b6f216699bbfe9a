#include "client/metric_intervals.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/classification_metrics.h"

namespace mead::client {

MetricIntervals::MetricIntervals(const mead::v1::ConfusionMatrix& confusion) {
  const int k = confusion.classes_size();
  if (confusion.counts_size() != k * k) return;
  int64_t total = 0;
  for (int truth = 0; truth < k; ++truth) {
    int64_t support = 0;
    for (int predicted = 0; predicted < k; ++predicted) {
      support += confusion.counts(truth * k + predicted);
    }
    total += support;
    if (support > 0) pictures_[absl::StrCat("val/recall/", confusion.classes(truth))] = support;
  }
  if (total > 0) pictures_["val/accuracy"] = total;
}

std::string MetricIntervals::Text(const std::string& metric, double value) const {
  const auto it = pictures_.find(metric);
  if (it == pictures_.end()) return "";
  const double right = value * static_cast<double>(it->second);
  const double whole = std::round(right);
  if (!(std::abs(right - whole) < 1e-3) || whole < 0 || whole > static_cast<double>(it->second)) {
    return "";
  }
  const Interval interval = WilsonInterval(static_cast<int64_t>(whole), it->second);
  return absl::StrFormat("%.4f to %.4f", interval.low, interval.high);
}

}  // namespace mead::client
