#include "common/dataset/thumbnail.h"

#include <algorithm>
#include <cstddef>
#include <vector>

namespace mead::dataset {
namespace {

// Which source pixels a cell covers, and how much of each: in units of 1 / kThumbnailSide pixels.
struct Span {
  int first = 0;
  std::vector<uint64_t> weights;
};

std::vector<Span> Spans(int size) {
  std::vector<Span> spans(kThumbnailSide);
  for (int i = 0; i < kThumbnailSide; ++i) {
    // Cell i covers [i * size, (i + 1) * size), pixel p covers [p * side, (p + 1) * side).
    const int begin = i * size;
    const int end = begin + size;
    Span& span = spans[static_cast<size_t>(i)];
    span.first = begin / kThumbnailSide;
    for (int p = span.first; p * kThumbnailSide < end; ++p) {
      span.weights.push_back(static_cast<uint64_t>(std::min(end, (p + 1) * kThumbnailSide) -
                                                   std::max(begin, p * kThumbnailSide)));
    }
  }
  return spans;
}

}  // namespace

Thumbnail MakeThumbnail(const Image& image) {
  const std::vector<Span> columns = Spans(image.width);
  const std::vector<Span> rows = Spans(image.height);
  const auto width = static_cast<size_t>(image.width);
  constexpr auto kSide = static_cast<size_t>(kThumbnailSide);
  std::vector<uint64_t> sums(kSide * kSide);
  std::vector<uint32_t> luma(width);
  std::vector<uint64_t> squeezed(kSide);  // one row of the picture, kThumbnailSide wide
  size_t done = static_cast<size_t>(-1);
  for (size_t r = 0; r < kSide; ++r) {
    for (size_t k = 0; k < rows[r].weights.size(); ++k) {
      const size_t y = static_cast<size_t>(rows[r].first) + k;
      if (y != done) {
        const uint8_t* pixel = image.pixels.data() + 3 * y * width;
        for (size_t x = 0; x < width; ++x, pixel += 3) {
          luma[x] = 77u * pixel[0] + 150u * pixel[1] + 29u * pixel[2];  // BT.601, of 256
        }
        for (size_t c = 0; c < kSide; ++c) {
          uint64_t sum = 0;
          for (size_t j = 0; j < columns[c].weights.size(); ++j) {
            sum += columns[c].weights[j] * luma[static_cast<size_t>(columns[c].first) + j];
          }
          squeezed[c] = sum;
        }
        done = y;
      }
      for (size_t c = 0; c < kSide; ++c) sums[r * kSide + c] += rows[r].weights[k] * squeezed[c];
    }
  }
  const uint64_t all =
      256 * static_cast<uint64_t>(image.width) * static_cast<uint64_t>(image.height);
  Thumbnail thumbnail;
  for (size_t i = 0; i < sums.size(); ++i) {
    thumbnail.luma[i] = static_cast<uint8_t>((sums[i] + all / 2) / all);
  }
  return thumbnail;
}

}  // namespace mead::dataset
