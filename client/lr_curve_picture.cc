// The picture of lr_curve.h.
#include <algorithm>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/canvas.h"
#include "client/lr_curve.h"

namespace mead::client {
namespace {

constexpr int kWidth = 800, kHeight = 480;
constexpr int kLeft = 84, kRight = 24, kTop = 64, kBottom = 64;
constexpr int kPlotWidth = kWidth - kLeft - kRight, kPlotHeight = kHeight - kTop - kBottom;
constexpr int kScale = 2;

constexpr Rgb kWhite = {255, 255, 255};
constexpr Rgb kBlack = {20, 20, 20};
constexpr Rgb kGrid = {226, 226, 226};
constexpr Rgb kRaw = {170, 186, 198};
constexpr Rgb kSmooth = {23, 92, 140};
constexpr Rgb kMark = {178, 34, 34};

class Plot {
 public:
  Plot(Canvas& canvas, const CurveFrame& frame) : canvas_(canvas), frame_(frame) {}

  int X(double lr) const { return kLeft + Pixels(frame_.X(lr), kPlotWidth); }
  int Y(double loss) const { return kTop + kPlotHeight - Pixels(frame_.Y(loss), kPlotHeight); }
  bool Holds(double loss) const { return frame_.Y(loss) >= 0 && frame_.Y(loss) <= 1; }

  void Dot(int x, int y, int size, Rgb colour) {
    canvas_.Fill(x - size / 2, y - size / 2, size, size, colour);
  }

  // Inside the frame. Near the test's end one segment may be taller than the plot.
  void Line(const RangeTestPoint& from, const RangeTestPoint& to) {
    constexpr int kDots = 2 * kPlotHeight;
    for (int i = 0; i <= kDots; ++i) {
      const double share = static_cast<double>(i) / kDots;
      const double lr = from.lr * std::pow(to.lr / from.lr, share);
      const double loss = from.smoothed_loss + (to.smoothed_loss - from.smoothed_loss) * share;
      if (Holds(loss)) Dot(X(lr), Y(loss), 3, kSmooth);
    }
  }

 private:
  static int Pixels(double share, int length) {
    return static_cast<int>(std::lround(std::clamp(share, 0.0, 1.0) * length));
  }

  Canvas& canvas_;
  const CurveFrame& frame_;
};

void DrawAxes(Canvas& canvas, const Plot& plot, const CurveFrame& frame) {
  const auto left = static_cast<int>(std::ceil(std::log10(frame.min_lr) - 1e-9));
  const auto right = static_cast<int>(std::floor(std::log10(frame.max_lr) + 1e-9));
  for (int power = left; power <= right; ++power) {
    const double lr = std::pow(10.0, power);
    canvas.Fill(plot.X(lr), kTop, 1, kPlotHeight, kGrid);
    const std::string name = absl::StrFormat("%g", lr);
    canvas.Text(plot.X(lr) - Canvas::TextWidth(name, kScale) / 2, kTop + kPlotHeight + 10, kScale,
                name, kBlack);
  }
  for (int i = 0; i <= 4; ++i) {
    const double loss = frame.min_loss + (frame.max_loss - frame.min_loss) * i / 4;
    canvas.Fill(kLeft, plot.Y(loss), kPlotWidth, 1, kGrid);
    const std::string name = absl::StrFormat("%.3g", loss);
    canvas.Text(kLeft - 10 - Canvas::TextWidth(name, kScale), plot.Y(loss) - 3 * kScale, kScale,
                name, kBlack);
  }
  const std::string name = "learning rate; line: smoothed loss, dots: each step's";
  canvas.Text(kLeft, kHeight - 26, kScale, name, kBlack);
}

}  // namespace

absl::StatusOr<std::string> LrCurvePicture(const std::vector<RangeTestPoint>& curve,
                                           const LrSuggestions& suggestions,
                                           const std::string& title) {
  Canvas canvas(kWidth, kHeight, kWhite);
  canvas.Text(16, 16, kScale, title, kBlack);
  if (curve.empty()) return canvas.ToPng();
  const CurveFrame frame = FrameOf(curve);
  Plot plot(canvas, frame);
  DrawAxes(canvas, plot, frame);
  for (const RangeTestPoint& point : curve) {
    if (plot.Holds(point.loss)) plot.Dot(plot.X(point.lr), plot.Y(point.loss), 3, kRaw);
  }
  for (size_t i = 1; i < curve.size(); ++i) plot.Line(curve[i - 1], curve[i]);
  std::string legend;
  const auto mark = [&](const std::optional<LrSuggestion>& suggestion, const char* name) {
    if (!suggestion) return;
    const RangeTestPoint& point = curve[suggestion->at];
    plot.Dot(plot.X(point.lr), plot.Y(point.smoothed_loss), 11, kMark);
    absl::StrAppend(&legend, legend.empty() ? "" : "   ", name,
                    absl::StrFormat(" %.2g", suggestion->lr));
  };
  mark(suggestions.minimum_tenth, "minimum/10");
  mark(suggestions.steep, "steep");
  mark(suggestions.valley, "valley");
  canvas.Text(16, 38, kScale, legend, kMark);
  return canvas.ToPng();
}

}  // namespace mead::client
