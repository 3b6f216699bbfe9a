// A file of predictions, and what is derived from it.
#include "common/results/predictions.h"

#include <algorithm>
#include <cstdlib>
#include <string_view>

#include "common/base/calibration.h"
#include "common/base/precision_recall.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using mead::results::Predictions;
  const auto read = Predictions::FromBytes({reinterpret_cast<const char*>(data), bytes});
  if (!read.ok()) return 0;  // what most input gives
  const mead::Scores scores = read->scores();
  if (mead::results::TopLosses(scores, 3).size() != std::min<size_t>(3, scores.size())) {
    std::abort();
  }
  if (scores.AllFinite()) {
    (void)mead::FitTemperature(scores);
    (void)mead::ExpectedCalibrationError(scores);
    (void)mead::AveragePrecision(mead::PrecisionRecallCurve(scores, 0));
  }
  if (!Predictions::FromBytes(read->ToBytes()).ok()) std::abort();
  return 0;
}
