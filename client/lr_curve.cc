#include "client/lr_curve.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "common/base/range_test.h"

namespace mead::client {
namespace {

constexpr int kRows = 14;
constexpr int kMargin = 9;  // the losses beside the curve
constexpr int kWidest = 110;
// Of the descent: room above where it begins, and at most below for single steps' losses.
constexpr double kHeadroom = 0.25;
constexpr double kFootroom = 0.5;

struct Grid {
  Grid(int columns_in, int rows_in)
      : columns(columns_in),
        rows(rows_in),
        cells(static_cast<size_t>(rows), std::string(static_cast<size_t>(columns), ' ')) {}

  // share: of the width, and of the height from below; outside of the frame nothing is drawn.
  void Put(double x, double y, char mark) {
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return;
    const auto column = static_cast<size_t>(std::lround(x * (columns - 1)));
    const auto row = static_cast<size_t>(std::lround((1 - y) * (rows - 1)));
    cells[row][column] = mark;
  }

  int columns;
  int rows;
  std::vector<std::string> cells;
};

Colour ColourOf(char mark) {
  switch (mark) {
    case '*':
      return Colour::kCyan;
    case '.':
      return Colour::kDim;
    case ' ':
      return Colour::kNone;
    default:
      return Colour::kGreen;
  }
}

// Cells of one colour are painted together.
std::string Painted(const Terminal& terminal, const std::string& cells) {
  std::string line;
  const std::string trimmed = cells.substr(0, cells.find_last_not_of(' ') + 1);
  for (size_t begin = 0; begin < trimmed.size();) {
    size_t end = begin + 1;
    while (end < trimmed.size() && ColourOf(trimmed[end]) == ColourOf(trimmed[begin])) ++end;
    line += terminal.Paint(ColourOf(trimmed[begin]), trimmed.substr(begin, end - begin));
    begin = end;
  }
  return line;
}

// The axis with a mark at each power of ten, and their names below.
void AddAxis(const CurveFrame& frame, int columns, std::vector<std::string>& lines) {
  std::string axis(static_cast<size_t>(columns), '-');
  std::string names;
  const auto left = static_cast<int>(std::ceil(std::log10(frame.min_lr) - 1e-9));
  const auto right = static_cast<int>(std::floor(std::log10(frame.max_lr) + 1e-9));
  for (int power = left; power <= right; ++power) {
    const double x = std::clamp(frame.X(std::pow(10.0, power)), 0.0, 1.0);
    const auto column = static_cast<size_t>(std::lround(x * (columns - 1)));
    axis[column] = '+';
    const std::string name = absl::StrFormat("%g", std::pow(10.0, power));
    // Centred below its mark, one blank from the name before.
    const size_t begin = std::max(column > name.size() / 2 ? column - name.size() / 2 : 0,
                                  names.empty() ? 0 : names.size() + 1);
    if (!names.empty() && begin > column) continue;
    names.resize(begin, ' ');
    names += name;
  }
  lines.push_back(absl::StrCat(std::string(kMargin - 1, ' '), "+", axis));
  lines.push_back(absl::StrCat(std::string(kMargin, ' '), names));
}

}  // namespace

std::vector<RangeTestPoint> LrCurveOf(const mead::v1::GetMetricsResponse& metrics) {
  // All points of a report have its time; those of an earlier attempt may reach further.
  absl::Time last = absl::InfinitePast();
  for (const auto& point : metrics.points()) last = std::max(last, FromProto(point.time()));
  std::map<int64_t, RangeTestPoint> by_step;
  for (const auto& point : metrics.points()) {
    if (FromProto(point.time()) != last) continue;
    RangeTestPoint& out = by_step[point.step()];
    if (point.name() == kRangeLr) out.lr = point.value();
    if (point.name() == kRangeLoss) out.loss = point.value();
    if (point.name() == kRangeSmoothedLoss) out.smoothed_loss = point.value();
  }
  std::vector<RangeTestPoint> curve;
  for (const auto& [step, point] : by_step) {
    if (point.lr > 0) curve.push_back(point);
  }
  return curve;
}

double CurveFrame::X(double lr) const {
  return max_lr > min_lr ? std::log(lr / min_lr) / std::log(max_lr / min_lr) : 0;
}

double CurveFrame::Y(double loss) const { return (loss - min_loss) / (max_loss - min_loss); }

CurveFrame FrameOf(const std::vector<RangeTestPoint>& curve) {
  const auto least = std::ranges::min_element(curve, {}, &RangeTestPoint::smoothed_loss);
  const auto most = std::max_element(curve.begin(), least + 1, [](const auto& a, const auto& b) {
    return a.smoothed_loss < b.smoothed_loss;
  });
  CurveFrame frame{.min_lr = curve.front().lr,
                   .max_lr = curve.back().lr,
                   .min_loss = least->smoothed_loss,
                   .max_loss = most->smoothed_loss};
  const double descent = frame.max_loss - frame.min_loss;
  const double lowest = std::ranges::min_element(curve, {}, &RangeTestPoint::loss)->loss;
  frame.min_loss = std::min(frame.min_loss, std::max(lowest, frame.min_loss - kFootroom * descent));
  // A curve that only rises has no descent to look at.
  frame.max_loss += descent > 0 ? kHeadroom * descent : std::max(1e-3, frame.min_loss);
  return frame;
}

std::vector<std::string> LrCurveLines(const Terminal& terminal,
                                      const std::vector<RangeTestPoint>& curve,
                                      const LrSuggestions& suggestions, int width) {
  std::vector<std::string> lines;
  if (curve.empty()) return lines;
  const CurveFrame frame = FrameOf(curve);
  Grid grid(std::clamp(std::min(width, kWidest) - kMargin, 10, kWidest), kRows);
  for (const RangeTestPoint& point : curve) grid.Put(frame.X(point.lr), frame.Y(point.loss), '.');
  for (const RangeTestPoint& point : curve) {
    grid.Put(frame.X(point.lr), frame.Y(point.smoothed_loss), '*');
  }
  const auto mark = [&](const std::optional<LrSuggestion>& suggestion, char letter) {
    if (!suggestion) return;
    const RangeTestPoint& point = curve[suggestion->at];
    grid.Put(frame.X(point.lr), frame.Y(point.smoothed_loss), letter);
  };
  mark(suggestions.minimum_tenth, 'M');
  mark(suggestions.steep, 'S');
  mark(suggestions.valley, 'V');
  for (int row = 0; row < kRows; ++row) {
    const double loss = frame.max_loss - (frame.max_loss - frame.min_loss) * row / (kRows - 1);
    const bool labelled = row == 0 || row == kRows - 1 || row == kRows / 2;
    const std::string label = labelled ? absl::StrFormat("%7.3g", loss) : std::string(7, ' ');
    lines.push_back(
        absl::StrCat(label, " |", Painted(terminal, grid.cells[static_cast<size_t>(row)])));
  }
  AddAxis(frame, grid.columns, lines);
  return lines;
}

std::string SweepFileLines(const LrSuggestions& suggestions) {
  std::vector<double> rates;
  for (const auto* one : {&suggestions.valley, &suggestions.steep, &suggestions.minimum_tenth}) {
    if (one->has_value()) rates.push_back((*one)->lr);
  }
  if (rates.empty()) return "";
  const double best = suggestions.valley ? suggestions.valley->lr : rates.front();
  return absl::StrFormat(
      "train:\n  optimizer: {lr: %.2g}\nspace:\n  optimizer.lr: {log_uniform: [%.2g, %.2g]}\n",
      best, *std::ranges::min_element(rates) / 3, *std::ranges::max_element(rates) * 3);
}

std::string LrCurveCsv(const std::vector<RangeTestPoint>& curve) {
  std::string csv = "step,lr,loss,smoothed_loss\n";
  for (size_t i = 0; i < curve.size(); ++i) {
    absl::StrAppendFormat(&csv, "%d,%.9g,%.9g,%.9g\n", i + 1, curve[i].lr, curve[i].loss,
                          curve[i].smoothed_loss);
  }
  return csv;
}

}  // namespace mead::client
