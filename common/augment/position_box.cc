#include "common/augment/position_box.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace mead {
namespace {

// In fractions of the picture's sides.
constexpr int kLeastPart = 16;  // a box has at least 1 / 16 of the width and of the height
constexpr int kEdgePart = 10;   // and begins within 1 / 10 of the left and the lower edge
constexpr int kLeastSide = 16;  // pixels of a picture in which a box could be told
constexpr int kTurns = 4;       // of narrowing rows and columns down

bool IsGreen(const uint8_t* pixel) {
  const int red = pixel[0], green = pixel[1], blue = pixel[2];
  return green >= 32 && 4 * green >= 5 * red && 8 * green >= 9 * blue;
}

// A run of rows or columns.
struct Span {
  int begin = 0;
  int end = 0;
  int size() const { return end - begin; }
  bool operator==(const Span&) const = default;
};

// The lower left quarter, pixel by pixel: green or not.
class Corner {
 public:
  Corner(const uint8_t* pixels, PictureSize size)
      : width_(size.width / 2), top_(size.height / 2), height_(size.height - top_) {
    green_.reserve(static_cast<size_t>(width_) * static_cast<size_t>(height_));
    for (int y = 0; y < height_; ++y) {
      const uint8_t* row = pixels + 3 * (ptrdiff_t{top_ + y} * size.width);
      for (int x = 0; x < width_; ++x) green_.push_back(IsGreen(row + 3 * x) ? 1 : 0);
    }
  }

  int width() const { return width_; }
  int height() const { return height_; }
  int top() const { return top_; }  // in the picture

  int Count(Span columns, Span rows) const {
    int count = 0;
    for (int y = rows.begin; y < rows.end; ++y) {
      const uint8_t* row = &green_[static_cast<size_t>(y) * static_cast<size_t>(width_)];
      for (int x = columns.begin; x < columns.end; ++x) count += row[x];
    }
    return count;
  }

  std::vector<int> CountPerColumn(Span rows) const {
    std::vector<int> counts(static_cast<size_t>(width_));
    for (int y = rows.begin; y < rows.end; ++y) {
      const uint8_t* row = &green_[static_cast<size_t>(y) * static_cast<size_t>(width_)];
      for (size_t x = 0; x < counts.size(); ++x) counts[x] += row[x];
    }
    return counts;
  }

  std::vector<int> CountPerRow(Span columns) const {
    std::vector<int> counts;
    for (int y = 0; y < height_; ++y) counts.push_back(Count(columns, {y, y + 1}));
    return counts;
  }

 private:
  int width_, top_, height_;
  std::vector<uint8_t> green_;  // [height_, width_]
};

// The longest run in which the counts reach half of the largest one. Short gaps do not end it:
// lines drawn across the box.
Span DenseRun(const std::vector<int>& counts) {
  const int enough = std::max(1, *std::max_element(counts.begin(), counts.end()) / 2);
  const int gap = std::max(1, static_cast<int>(counts.size()) / 32);
  Span best, run;
  for (int i = 0; i < static_cast<int>(counts.size()); ++i) {
    if (counts[static_cast<size_t>(i)] < enough) continue;
    if (run.size() == 0 || i - run.end > gap) run = {i, i};
    run.end = i + 1;
    if (run.size() > best.size()) best = run;
  }
  return best;
}

// Most of the box is green; of a frame around it, a pixel or two away, little.
bool StandsOut(const Corner& corner, Span columns, Span rows) {
  if (10 * corner.Count(columns, rows) < 6 * columns.size() * rows.size()) return false;
  const int width = std::max(2, std::min(columns.size(), rows.size()) / 8);
  const auto grown = [&](Span span, int by, int most) {
    return Span{std::max(0, span.begin - by), std::min(most, span.end + by)};
  };
  const Span near_columns = grown(columns, 2, corner.width());
  const Span near_rows = grown(rows, 2, corner.height());
  const Span far_columns = grown(columns, 2 + width, corner.width());
  const Span far_rows = grown(rows, 2 + width, corner.height());
  const int area = far_columns.size() * far_rows.size() - near_columns.size() * near_rows.size();
  const int green = corner.Count(far_columns, far_rows) - corner.Count(near_columns, near_rows);
  return area > 0 && 5 * green < area;
}

void Paint(PixelBox box, PictureSize size, std::vector<uint8_t>& pixels) {
  for (int y = box.top; y < box.top + box.height; ++y) {
    uint8_t* row = pixels.data() + 3 * (ptrdiff_t{y} * size.width + box.left);
    std::memset(row, 0, 3 * static_cast<size_t>(box.width));
  }
}

}  // namespace

PixelBox FindPositionBox(const uint8_t* pixels, PictureSize size) {
  if (std::min(size.width, size.height) < kLeastSide) return {};
  const Corner corner(pixels, size);
  Span columns{0, corner.width()};
  Span rows{0, corner.height()};
  for (int turn = 0; turn < kTurns; ++turn) {
    const Span columns_before = columns;
    const Span rows_before = rows;
    columns = DenseRun(corner.CountPerColumn(rows));
    if (columns.size() == 0) return {};
    rows = DenseRun(corner.CountPerRow(columns));
    if (rows.size() == 0) return {};
    if (columns == columns_before && rows == rows_before) break;
  }
  if (columns.size() * kLeastPart < size.width || rows.size() * kLeastPart < size.height) return {};
  if (columns.begin * kEdgePart > size.width) return {};
  if ((corner.height() - rows.end) * kEdgePart > size.height) return {};
  // Within the quarter: a run that reaches its end goes on beyond.
  if (columns.end == corner.width() || rows.begin == 0) return {};
  if (!StandsOut(corner, columns, rows)) return {};
  const int margin = 1 + std::min(size.width, size.height) / 100;
  const int left = std::max(0, columns.begin - margin);
  const int top = corner.top() + rows.begin - margin;
  const int right = std::min(size.width, columns.end + margin);
  const int bottom = std::min(size.height, corner.top() + rows.end + margin);
  return {.left = left, .top = top, .width = right - left, .height = bottom - top};
}

PictureSize TreatPositionBox(PositionBox treatment, PictureSize size,
                             std::vector<uint8_t>& pixels) {
  if (treatment == PositionBox::kKeep) return size;
  const PixelBox box = FindPositionBox(pixels.data(), size);
  if (box.width == 0) return size;
  if (treatment == PositionBox::kMask) {
    Paint(box, size, pixels);
    return size;
  }
  const PictureSize above{size.width, box.top};
  const PictureSize beside{size.width - (box.left + box.width), size.height};
  const auto square = [](PictureSize part) { return std::min(part.width, part.height); };
  if (square(above) >= square(beside)) {
    pixels.resize(3 * static_cast<size_t>(above.width) * static_cast<size_t>(above.height));
    return above;
  }
  const auto row_bytes = 3 * static_cast<size_t>(beside.width);
  for (int y = 0; y < beside.height; ++y) {
    const uint8_t* from = pixels.data() + 3 * (ptrdiff_t{y + 1} * size.width - beside.width);
    std::memmove(pixels.data() + static_cast<size_t>(y) * row_bytes, from, row_bytes);
  }
  pixels.resize(row_bytes * static_cast<size_t>(beside.height));
  return beside;
}

}  // namespace mead
