#include "common/base/classification_metrics.h"

#include <algorithm>
#include <cmath>

namespace mead {
namespace {

double Ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0;
}

}  // namespace

ClassificationMetrics ComputeMetrics(const ConfusionMatrix& confusion) {
  const int k = confusion.num_classes();
  const double n = static_cast<double>(confusion.total());
  ClassificationMetrics metrics;
  metrics.classes.resize(static_cast<size_t>(k));

  double correct = 0;
  int classes_with_samples = 0;
  // For R_K: sums over classes of true x predicted, predicted^2 and true^2.
  double true_times_predicted = 0, predicted_squares = 0, true_squares = 0;
  for (int c = 0; c < k; ++c) {
    int64_t support = 0, predicted = 0;
    for (int other = 0; other < k; ++other) {
      support += confusion.at(c, other);
      predicted += confusion.at(other, c);
    }
    const double tp = static_cast<double>(confusion.at(c, c));
    const double fn = static_cast<double>(support) - tp;
    const double fp = static_cast<double>(predicted) - tp;
    const double tn = n - tp - fn - fp;

    ClassMetrics& of_class = metrics.classes[static_cast<size_t>(c)];
    of_class.support = support;
    of_class.recall = Ratio(tp, tp + fn);
    of_class.precision = Ratio(tp, tp + fp);
    of_class.specificity = Ratio(tn, tn + fp);
    of_class.f1 = Ratio(2 * tp, 2 * tp + fp + fn);
    of_class.mcc = Ratio(tp * tn - fp * fn,
                         std::sqrt((tp + fp) * (tp + fn)) * std::sqrt((tn + fp) * (tn + fn)));

    correct += tp;
    classes_with_samples += support > 0;
    metrics.balanced_accuracy += of_class.recall;
    metrics.macro_f1 += of_class.f1 / k;
    metrics.mcc += of_class.mcc / k;
    metrics.one_vs_rest_accuracy += Ratio(tp + tn, n) / k;
    true_times_predicted += static_cast<double>(support) * static_cast<double>(predicted);
    predicted_squares += static_cast<double>(predicted) * static_cast<double>(predicted);
    true_squares += static_cast<double>(support) * static_cast<double>(support);
  }
  metrics.accuracy = Ratio(correct, n);
  metrics.balanced_accuracy = Ratio(metrics.balanced_accuracy, classes_with_samples);
  metrics.r_k = Ratio(correct * n - true_times_predicted,
                      std::sqrt(n * n - predicted_squares) * std::sqrt(n * n - true_squares));
  return metrics;
}

Interval WilsonInterval(int64_t successes, int64_t n, double z) {
  if (n <= 0) return {0, 1};
  const double count = static_cast<double>(n);
  const double p = static_cast<double>(successes) / count;
  const double z2 = z * z;
  const double centre = (p + z2 / (2 * count)) / (1 + z2 / count);
  const double half =
      z / (1 + z2 / count) * std::sqrt(p * (1 - p) / count + z2 / (4 * count * count));
  return {std::max(0.0, centre - half), std::min(1.0, centre + half)};
}

}  // namespace mead
