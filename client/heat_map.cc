#include "client/heat_map.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "client/canvas.h"
#include "client/table.h"

namespace mead::client {
namespace {

constexpr int kScale = 2;
constexpr int kMargin = 16;
constexpr int kLine = 8 * kScale + 8;
constexpr int kLargestMatrix = 4096;  // pixels
constexpr int kLargestCell = 64;
constexpr int kSmallestCell = 4;
constexpr size_t kLongestName = 32;  // letters

constexpr Rgb kWhite = {255, 255, 255};
constexpr Rgb kBlack = {20, 20, 20};
constexpr Rgb kRight = {23, 92, 140};  // the diagonal
constexpr Rgb kWrong = {178, 34, 34};

// From white (nothing) to the colour (all of the class); the root lets few errors show.
Rgb Shade(Rgb full, double share) {
  Rgb result;
  const double weight = std::sqrt(share);
  for (size_t i = 0; i < result.size(); ++i) {
    result[i] = static_cast<uint8_t>(std::lround(255 + weight * (full[i] - 255.0)));
  }
  return result;
}

void Centred(Canvas& canvas, int x, int y, int width, int height, const std::string& text,
             Rgb colour) {
  canvas.Text(x + (width - Canvas::TextWidth(text, kScale)) / 2, y + (height - 7 * kScale) / 2,
              kScale, text, colour);
}

}  // namespace

absl::StatusOr<std::string> HeatMap(const ConfusionMatrix& matrix,
                                    const std::vector<std::string>& classes,
                                    const std::string& title) {
  const int k = matrix.num_classes();
  const int cell = std::clamp(kLargestMatrix / k, kSmallestCell, kLargestCell);
  // Text needs a line's height.
  const bool named = cell >= kLine;
  std::vector<std::string> names;
  int names_width = 0;
  for (int i = 0; named && i < k; ++i) {
    names.push_back(
        absl::StrCat(CutToWidth(classes[static_cast<size_t>(i)], kLongestName), " ", i));
    names_width = std::max(names_width, Canvas::TextWidth(names.back(), kScale));
  }
  const int left = kMargin + names_width + 8, top = kMargin + 2 * kLine;
  const int width = std::max(left + k * cell, kMargin + Canvas::TextWidth(title, kScale));
  Canvas canvas(width + kMargin, top + k * cell + kLine + kMargin, kWhite);
  canvas.Text(kMargin, kMargin, kScale, title, kBlack);
  canvas.Text(left, top + k * cell + 8, kScale, "row: true class, column: predicted", kBlack);
  for (int truth = 0; truth < k; ++truth) {
    const int y = top + truth * cell;
    if (named) {
      const std::string& name = names[static_cast<size_t>(truth)];
      canvas.Text(left - 8 - Canvas::TextWidth(name, kScale), y + (cell - 7 * kScale) / 2, kScale,
                  name, kBlack);
      Centred(canvas, left + truth * cell, top - kLine, cell, kLine, absl::StrCat(truth), kBlack);
    }
    int64_t support = 0;
    for (int predicted = 0; predicted < k; ++predicted) support += matrix.at(truth, predicted);
    for (int predicted = 0; predicted < k; ++predicted) {
      const int64_t count = matrix.at(truth, predicted);
      const double share =
          support == 0 ? 0 : static_cast<double>(count) / static_cast<double>(support);
      const int x = left + predicted * cell;
      const int gap = named ? 1 : 0;
      canvas.Fill(x, y, cell - gap, cell - gap, Shade(truth == predicted ? kRight : kWrong, share));
      const std::string text = absl::StrCat(count);
      if (count > 0 && named && Canvas::TextWidth(text, kScale) < cell) {
        Centred(canvas, x, y, cell, cell, text, share > 0.3 ? kWhite : kBlack);
      }
    }
  }
  return canvas.ToPng();
}

}  // namespace mead::client
