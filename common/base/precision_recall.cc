#include "common/base/precision_recall.h"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace mead {

std::vector<PrecisionRecallPoint> PrecisionRecallCurve(const Scores& scores, int class_id) {
  const auto score = [&](size_t i) { return scores.row(i)[static_cast<size_t>(class_id)]; };
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return score(a) > score(b); });
  int64_t positives = 0;
  for (const int32_t truth : scores.truth) positives += truth == class_id ? 1 : 0;

  std::vector<PrecisionRecallPoint> curve;
  int64_t right = 0, wrong = 0;
  for (size_t i = 0; i < order.size(); ++i) {
    ++(scores.truth[order[i]] == class_id ? right : wrong);
    if (i + 1 < order.size() && score(order[i + 1]) == score(order[i])) continue;
    curve.push_back({.threshold = std::exp(double{score(order[i])}),
                     .true_positives = right,
                     .false_positives = wrong,
                     .precision = static_cast<double>(right) / static_cast<double>(right + wrong),
                     .recall = positives == 0
                                   ? 0
                                   : static_cast<double>(right) / static_cast<double>(positives)});
  }
  return curve;
}

double AveragePrecision(const std::vector<PrecisionRecallPoint>& curve) {
  double sum = 0, recall = 0;
  for (const PrecisionRecallPoint& point : curve) {
    sum += point.precision * (point.recall - recall);
    recall = point.recall;
  }
  return sum;
}

}  // namespace mead
