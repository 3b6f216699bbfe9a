// The curve of a learning-rate range test: from a trial's metrics, and as text, CSV and a
// picture.
//
// Thread: pure functions.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/terminal.h"
#include "common/base/lr_suggestions.h"
#include "mead/v1/evaluation.pb.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

// By rising rate. Of an attempt that was repeated the last one's points.
std::vector<RangeTestPoint> LrCurveOf(const mead::v1::GetMetricsResponse& metrics);

// The smallest and the largest of what is drawn. Losses far above where the curve begins to fall,
// and single ones far below it, are left out: its descent is what is looked at.
struct CurveFrame {
  double min_lr = 0;
  double max_lr = 0;
  double min_loss = 0;
  double max_loss = 0;

  // Shares of the frame's width and height: [0, 1] inside, left to right and bottom to top.
  double X(double lr) const;
  double Y(double loss) const;
};
CurveFrame FrameOf(const std::vector<RangeTestPoint>& curve);

// The curve as characters: the smoothed loss '*', each step's own '.', and the letters V, S and M
// where the suggestions come from. Lines without a newline; at most `width` columns.
std::vector<std::string> LrCurveLines(const Terminal& terminal,
                                      const std::vector<RangeTestPoint>& curve,
                                      const LrSuggestions& suggestions, int width);

// What may be written into a sweep file for the suggestions; empty where there is none.
std::string SweepFileLines(const LrSuggestions& suggestions);

std::string LrCurveCsv(const std::vector<RangeTestPoint>& curve);

// A PNG.
[[nodiscard]] absl::StatusOr<std::string> LrCurvePicture(const std::vector<RangeTestPoint>& curve,
                                                         const LrSuggestions& suggestions,
                                                         const std::string& title);

}  // namespace mead::client
