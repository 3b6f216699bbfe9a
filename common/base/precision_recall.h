// One class against the rest at every threshold of its probability.
//
// Pictures with equal probability stand or fall together, as in scikit-learn.
// Source: sklearn.metrics.precision_recall_curve, average_precision_score.
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/scores.h"

namespace mead {

// Of the pictures whose probability of the class is at least the threshold.
struct PrecisionRecallPoint {
  double threshold = 0;  // a probability
  int64_t true_positives = 0;
  int64_t false_positives = 0;
  double precision = 0;
  double recall = 0;  // 0 for a class without pictures
};

// From the highest threshold to the lowest, which takes every picture; one point for
// each probability that occurs.
std::vector<PrecisionRecallPoint> PrecisionRecallCurve(const Scores& scores, int class_id);

// The sum over points of precision times the step in recall; 0 for a class without pictures.
double AveragePrecision(const std::vector<PrecisionRecallPoint>& curve);

}  // namespace mead
