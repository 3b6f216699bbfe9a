// Whether a classifier's confidence can be believed.
//
// Everything takes a temperature T: probabilities are softmax(log p / T), the
// network's own at T = 1. Dividing log-probabilities instead of logits gives the same,
// for they differ by a constant per picture.
//
// All values must be finite (Scores::AllFinite). Of no pictures every figure is 0.
// Source: Guo et al., On calibration of modern neural networks, ICML 2017:
//   equation 3 (ECE, top label, bins of equal width, each open below and closed above),
//   section 4.2 (temperature scaling).
// Thread: pure functions.
#pragma once

#include "common/base/scores.h"

namespace mead {

inline constexpr int kCalibrationBins = 15;

// The mean of -log p(true class), in nats.
double NegativeLogLikelihood(const Scores& scores, double temperature = 1);

// The mean over pictures of |accuracy - confidence| of their bin, in [0, 1].
double ExpectedCalibrationError(const Scores& scores, double temperature = 1,
                                int bins = kCalibrationBins);

// What FitTemperature looks between. A network that is right about every picture has its
// smallest loss at 0, one that knows nothing at infinity: they get the bound.
inline constexpr double kMinTemperature = 0.01;
inline constexpr double kMaxTemperature = 100;

// The temperature with the smallest negative log-likelihood; 1 of no pictures.
double FitTemperature(const Scores& scores);

}  // namespace mead
