// The figures that papers on Kvasir report, from a confusion matrix.
//
// Ratios with nothing below the line are 0, as in scikit-learn with
// zero_division=0. Averages over classes count every class, except the balanced
// accuracy, which leaves out classes without a sample, as scikit-learn does.
//
// Source: sklearn.metrics (accuracy_score, balanced_accuracy_score,
//   precision_recall_fscore_support, matthews_corrcoef); R_K is Gorodkin,
//   Comparing two K-category assignments by a K-category correlation
//   coefficient, 2004; Wilson, Probable inference, 1927.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/confusion_matrix.h"

namespace mead {

struct ClassMetrics {
  int64_t support = 0;  // samples whose true class it is
  double recall = 0;    // also called sensitivity
  double precision = 0;
  double specificity = 0;
  double f1 = 0;
  double mcc = 0;  // of this class against the rest
};

struct ClassificationMetrics {
  double accuracy = 0;  // top-1
  double balanced_accuracy = 0;
  double macro_f1 = 0;
  // Mean of the classes' one-against-rest correlation coefficients, which is what
  // the Kvasir papers call MCC. Not R_K.
  double mcc = 0;
  double r_k = 0;  // the multi-class correlation coefficient
  // Mean over classes of (TP + TN) / N: what the Kvasir papers call accuracy. With many
  // classes it is high whatever the model does, so it never goes by that name here.
  double one_vs_rest_accuracy = 0;
  std::vector<ClassMetrics> classes;
};

ClassificationMetrics ComputeMetrics(const ConfusionMatrix& confusion);

struct Interval {
  double low = 0;
  double high = 1;
};

// Confidence interval of a proportion; [0, 1] when n is 0. z: standard normal
// quantile, 1.96 for 95 %.
Interval WilsonInterval(int64_t successes, int64_t n, double z = 1.96);

}  // namespace mead
