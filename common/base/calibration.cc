#include "common/base/calibration.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mead {
namespace {

// softmax(row / T) of one picture, and the log of its sum after the largest is taken off.
struct Scaled {
  std::vector<double> probabilities;
  double log_sum = 0;
  double largest = 0;
};

void Scale(std::span<const float> row, double inverse_temperature, Scaled& out) {
  out.largest = *std::max_element(row.begin(), row.end());
  out.probabilities.resize(row.size());
  double sum = 0;
  for (size_t k = 0; k < row.size(); ++k) {
    out.probabilities[k] = std::exp((double{row[k]} - out.largest) * inverse_temperature);
    sum += out.probabilities[k];
  }
  for (double& p : out.probabilities) p /= sum;
  out.log_sum = std::log(sum);
}

// First and second derivative of the summed loss by the inverse temperature b. With
// z = log p: loss = log sum exp(b z) - b z_true, which is convex in b.
struct Slope {
  double first = 0;
  double second = 0;
};

Slope SlopeAt(const Scores& scores, double inverse_temperature) {
  Slope slope;
  Scaled scaled;
  for (size_t i = 0; i < scores.size(); ++i) {
    const std::span<const float> row = scores.row(i);
    Scale(row, inverse_temperature, scaled);
    double mean = 0, square = 0;
    for (size_t k = 0; k < row.size(); ++k) {
      const double z = double{row[k]} - scaled.largest;
      mean += scaled.probabilities[k] * z;
      square += scaled.probabilities[k] * z * z;
    }
    slope.first += mean + scaled.largest + scores.Loss(i);
    slope.second += square - mean * mean;
  }
  return slope;
}

}  // namespace

double NegativeLogLikelihood(const Scores& scores, double temperature) {
  double sum = 0;
  Scaled scaled;
  for (size_t i = 0; i < scores.size(); ++i) {
    Scale(scores.row(i), 1 / temperature, scaled);
    sum += scaled.log_sum + (scores.Loss(i) + scaled.largest) / temperature;
  }
  return scores.size() == 0 ? 0 : sum / static_cast<double>(scores.size());
}

double ExpectedCalibrationError(const Scores& scores, double temperature, int bins) {
  struct Bin {
    double confidence = 0;
    double correct = 0;
  };
  std::vector<Bin> all(static_cast<size_t>(bins));
  Scaled scaled;
  for (size_t i = 0; i < scores.size(); ++i) {
    Scale(scores.row(i), 1 / temperature, scaled);
    const auto predicted = scores.Predicted(i);
    const double confidence = scaled.probabilities[static_cast<size_t>(predicted)];
    const double place = std::ceil(confidence * bins) - 1;
    Bin& bin = all[static_cast<size_t>(std::clamp(place, 0.0, bins - 1.0))];
    bin.confidence += confidence;
    bin.correct += predicted == scores.truth[i] ? 1 : 0;
  }
  double sum = 0;
  for (const Bin& bin : all) sum += std::abs(bin.correct - bin.confidence);
  return scores.size() == 0 ? 0 : sum / static_cast<double>(scores.size());
}

// Newton's method on the slope, which rises with b; where a step leaves the bracket that
// is known so far, the bracket is halved (in proportion) instead.
double FitTemperature(const Scores& scores) {
  if (scores.size() == 0) return 1;
  double low = 1 / kMaxTemperature, high = 1 / kMinTemperature;
  if (SlopeAt(scores, high).first <= 0) return kMinTemperature;
  if (SlopeAt(scores, low).first >= 0) return kMaxTemperature;
  double b = 1;
  for (int i = 0; i < 100; ++i) {
    const Slope slope = SlopeAt(scores, b);
    (slope.first > 0 ? high : low) = b;
    double next = slope.second > 0 ? b - slope.first / slope.second : low;
    if (!(next > low && next < high)) next = std::sqrt(low * high);
    const bool settled = std::abs(next - b) <= 1e-12 * b;
    b = next;
    if (settled) break;
  }
  return 1 / b;
}

}  // namespace mead
