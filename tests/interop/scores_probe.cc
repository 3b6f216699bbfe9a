// Prints what follows from a predictions file, for comparison with scikit-learn, SciPy and NumPy
// (test_scores.py), and writes the file anew. Usage: scores_probe IN OUT
#include <fstream>
#include <iostream>
#include <iterator>
#include <string>

#include "common/base/calibration.h"
#include "common/base/precision_recall.h"
#include "common/results/predictions.h"

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  std::ifstream in(argv[1], std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const auto predictions = mead::results::Predictions::FromBytes(bytes);
  if (!predictions.ok()) {
    std::cerr << predictions.status() << '\n';
    return 1;
  }
  std::ofstream(argv[2], std::ios::binary) << predictions->ToBytes();
  const mead::Scores scores = predictions->scores();
  std::cout.precision(17);
  const auto print = [](const std::string& name, double value) {
    std::cout << name << ' ' << value << '\n';
  };
  const double temperature = mead::FitTemperature(scores);
  print("nll", mead::NegativeLogLikelihood(scores));
  print("ece", mead::ExpectedCalibrationError(scores));
  print("temperature", temperature);
  print("nll_scaled", mead::NegativeLogLikelihood(scores, temperature));
  print("ece_scaled", mead::ExpectedCalibrationError(scores, temperature));
  for (int k = 0; k < scores.num_classes; ++k) {
    const auto curve = mead::PrecisionRecallCurve(scores, k);
    const std::string id = std::to_string(k);
    print("average_precision/" + id, mead::AveragePrecision(curve));
    for (size_t i = 0; i < curve.size(); ++i) {
      const std::string at = id + "/" + std::to_string(i);
      print("threshold/" + at, curve[i].threshold);
      print("precision/" + at, curve[i].precision);
      print("recall/" + at, curve[i].recall);
    }
  }
  for (const size_t i : mead::results::TopLosses(scores, 10)) {
    print("loss/" + predictions->keys[i], scores.Loss(i));
  }
}
