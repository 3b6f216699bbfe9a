// Whether one model is better than another, by scores on the same folds.
//
// The folds' training sets overlap, so their differences are not independent and the plain t-test
// finds differences where there are none; Nadeau and Bengio widen the variance of the mean from
// s^2 / n to s^2 (1 / n + test / train).
//
// Source: Nadeau and Bengio, Inference for the generalization error, Machine Learning 52, 2003,
//   section 4.3. scipy.stats.t (cdf, ppf). The continued fraction of the incomplete beta function:
//   DLMF 8.17.22, evaluated by Lentz's method.
#pragma once

#include <span>

namespace mead {

// P(T <= t) of Student's distribution. degrees: 1 or more.
double StudentCdf(double t, int degrees);

// t with P(T <= t) = p. p: above 0, below 1.
double StudentQuantile(double p, int degrees);

struct PairedTest {
  double difference = 0;  // mean
  // Of the difference, 95 %.
  double low = 0;
  double high = 0;
  double t = 0;  // 0 where all differences are 0, infinite where they are equal and not 0
  double p = 1;  // two-sided
};

// differences: n of them, 2 or more: one model's score less the other's, by fold.
// test_per_train: evaluated pictures per training picture, 1 / (n - 1) for n folds; 0: no
// correction, the plain paired t-test.
PairedTest CorrectedPairedTest(std::span<const double> differences, double test_per_train);

}  // namespace mead
