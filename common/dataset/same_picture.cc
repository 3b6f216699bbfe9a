#include "common/dataset/same_picture.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <utility>

namespace mead::dataset {
namespace {

constexpr int kSide = kThumbnailSide;
constexpr auto kPixels = static_cast<size_t>(kSide) * kSide;
using Plane = std::vector<float>;  // [kSide, kSide]

constexpr int kDark = 24;          // luma below this shows nothing of the tissue
constexpr int kMaskMargin = 1;     // pixels beside the dark that its edge reaches into
constexpr int kSlow = 5;           // radius in pixels of what counts as slow
constexpr float kQuiet = 1;        // luma: detail weaker than this is noise, and stays weak
constexpr double kMinShare = 0.2;  // of a thumbnail: less detail, or less overlap, says nothing
// Blurred details that correlate less than this cannot be laid over each other. Copies reach 0.78
// before, and those laid over rightly 0.9 after.
constexpr double kHopelessBefore = 0.3;
constexpr double kHopelessAfter = 0.5;
constexpr int kCoarseSteps = 6;
constexpr int kFineSteps = 4;

size_t At(int y, int x) { return static_cast<size_t>(y) * kSide + static_cast<size_t>(x); }

// Sum over a (2 radius + 1) square, cut off at the borders.
Plane BoxSum(const Plane& in, int radius) {
  Plane across(kPixels);
  Plane out(kPixels);
  for (int y = 0; y < kSide; ++y) {
    float sum = 0;
    for (int x = 0; x < radius; ++x) sum += in[At(y, x)];
    for (int x = 0; x < kSide; ++x) {
      if (x + radius < kSide) sum += in[At(y, x + radius)];
      if (x - radius > 0) sum -= in[At(y, x - radius - 1)];
      across[At(y, x)] = sum;
    }
  }
  std::array<float, kSide> sums{};
  for (int y = 0; y < radius; ++y) {
    for (int x = 0; x < kSide; ++x) sums[static_cast<size_t>(x)] += across[At(y, x)];
  }
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      float& sum = sums[static_cast<size_t>(x)];
      if (y + radius < kSide) sum += across[At(y + radius, x)];
      if (y - radius > 0) sum -= across[At(y - radius - 1, x)];
      out[At(y, x)] = sum;
    }
  }
  return out;
}

// The mean over a square of what the mask lets through.
Plane MaskedMean(const Plane& in, const Plane& mask, const Plane& mask_sum, int radius) {
  Plane product(kPixels);
  for (size_t i = 0; i < kPixels; ++i) product[i] = in[i] * mask[i];
  Plane mean = BoxSum(product, radius);
  for (size_t i = 0; i < kPixels; ++i) mean[i] = mask_sum[i] > 0.5f ? mean[i] / mask_sum[i] : 0;
  return mean;
}

// The place in b of a's pixel (x, y), both counted from the picture's centre.
struct Overlay {
  float stretch_x = 0, stretch_y = 0;  // beyond 1
  float shift_x = 0, shift_y = 0;      // pixels
  bool sane() const {
    return std::fabs(stretch_x) < 0.1f && std::fabs(stretch_y) < 0.1f &&
           std::fabs(shift_x) < 0.1f * kSide && std::fabs(shift_y) < 0.1f * kSide;
  }
};

// Solves the 6x6 system in place by Gauss's elimination with pivots. False if it has none.
constexpr size_t kUnknowns = 6;
using Matrix = std::array<std::array<double, kUnknowns + 1>, kUnknowns>;
bool Solve(Matrix& m) {
  for (size_t c = 0; c < kUnknowns; ++c) {
    size_t pivot = c;
    for (size_t r = c + 1; r < kUnknowns; ++r) {
      if (std::fabs(m[r][c]) > std::fabs(m[pivot][c])) pivot = r;
    }
    if (std::fabs(m[pivot][c]) < 1e-9) return false;
    std::swap(m[c], m[pivot]);
    for (size_t r = 0; r < kUnknowns; ++r) {
      if (r == c) continue;
      const double factor = m[r][c] / m[c][c];
      for (size_t k = c; k <= kUnknowns; ++k) m[r][k] -= factor * m[c][k];
    }
  }
  return true;
}

struct Sampled {
  float value = 0, slope_x = 0, slope_y = 0;
};

// Calls visit(pixel of a, x, y, b there with its slopes) wherever both have detail.
template <class Visit>
void ForOverlap(const Detail& a, const Detail& b, const Plane& b_values, const Overlay& overlay,
                const Visit& visit) {
  constexpr float kCentre = 0.5f * (kSide - 1);
  for (int y = 0; y < kSide; ++y) {
    const float from_y = static_cast<float>(y) - kCentre;
    const float to_y = from_y * (1 + overlay.stretch_y) + overlay.shift_y + kCentre;
    if (to_y < 0 || to_y >= kSide - 1) continue;
    const int top = static_cast<int>(to_y);
    const float down = to_y - static_cast<float>(top);
    for (int x = 0; x < kSide; ++x) {
      if (a.weights[At(y, x)] == 0) continue;
      const float from_x = static_cast<float>(x) - kCentre;
      const float to_x = from_x * (1 + overlay.stretch_x) + overlay.shift_x + kCentre;
      if (to_x < 0 || to_x >= kSide - 1) continue;
      const int left = static_cast<int>(to_x);
      const float right = to_x - static_cast<float>(left);
      const size_t i = At(top, left);
      if (b.weights[i] * b.weights[i + 1] * b.weights[i + kSide] * b.weights[i + kSide + 1] == 0) {
        continue;
      }
      const float v00 = b_values[i], v01 = b_values[i + 1];
      const float v10 = b_values[i + kSide], v11 = b_values[i + kSide + 1];
      Sampled s;
      const float upper = v00 + right * (v01 - v00);
      const float lower = v10 + right * (v11 - v10);
      s.value = upper + down * (lower - upper);
      s.slope_x = (1 - down) * (v01 - v00) + down * (v11 - v10);
      s.slope_y = lower - upper;
      visit(At(y, x), from_x, from_y, s);
    }
  }
}

// One Gauss-Newton step of |gain * a + offset - b(overlay)|^2. False if there is nothing to go by.
bool Step(const Detail& a, const Detail& b, const Plane& a_values, const Plane& b_values,
          Overlay& overlay) {
  Matrix m{};
  ForOverlap(a, b, b_values, overlay, [&](size_t i, float x, float y, const Sampled& s) {
    // b + slope * d(overlay) = gain * a + offset
    const std::array<float, kUnknowns + 1> row = {
        s.slope_x * x, s.slope_x, s.slope_y * y, s.slope_y, -a_values[i], -1, -s.value};
    for (size_t r = 0; r < kUnknowns; ++r) {
      for (size_t c = r; c <= kUnknowns; ++c) m[r][c] += static_cast<double>(row[r] * row[c]);
    }
  });
  for (size_t r = 0; r < kUnknowns; ++r) {
    for (size_t c = 0; c < r; ++c) m[r][c] = m[c][r];
  }
  // Where an axis has no detail to go by, stay.
  constexpr std::array<double, 4> kInertia = {1, 1e-2, 1, 1e-2};
  for (size_t r = 0; r < kInertia.size(); ++r) m[r][r] += kInertia[r];
  if (!Solve(m)) return false;
  const auto moved = [&](size_t r) { return static_cast<float>(m[r][kUnknowns] / m[r][r]); };
  overlay.stretch_x += moved(0);
  overlay.shift_x += moved(1);
  overlay.stretch_y += moved(2);
  overlay.shift_y += moved(3);
  return overlay.sane();
}

double Correlation(const Detail& a, const Detail& b, const Plane& a_values, const Plane& b_values,
                   const Overlay& overlay) {
  double n = 0, sa = 0, sb = 0, saa = 0, sbb = 0, sab = 0;
  ForOverlap(a, b, b_values, overlay, [&](size_t i, float, float, const Sampled& s) {
    const double u = static_cast<double>(a_values[i]);
    const double v = static_cast<double>(s.value);
    ++n, sa += u, sb += v, saa += u * u, sbb += v * v, sab += u * v;
  });
  if (n < kMinShare * kPixels) return 0;
  const double va = saa - sa * sa / n;
  const double vb = sbb - sb * sb / n;
  if (va <= 0 || vb <= 0) return 0;
  return (sab - sa * sb / n) / std::sqrt(va * vb);
}

}  // namespace

Detail DetailOf(const Thumbnail& thumbnail) {
  Detail detail;
  Plane luma(kPixels);
  Plane dark(kPixels);
  for (size_t i = 0; i < kPixels; ++i) {
    luma[i] = thumbnail.luma[i];
    dark[i] = thumbnail.luma[i] < kDark ? 1 : 0;
  }
  const Plane near_dark = BoxSum(dark, kMaskMargin);
  detail.weights.resize(kPixels);
  for (size_t i = 0; i < kPixels; ++i) detail.weights[i] = near_dark[i] < 0.5f ? 1 : 0;
  const Plane mask_sum = BoxSum(detail.weights, kSlow);
  const Plane slow = MaskedMean(luma, detail.weights, mask_sum, kSlow);
  detail.values.resize(kPixels);
  Plane square(kPixels);
  for (size_t i = 0; i < kPixels; ++i) {
    detail.values[i] = detail.weights[i] * (luma[i] - slow[i]);
    square[i] = detail.values[i] * detail.values[i];
  }
  const Plane power = MaskedMean(square, detail.weights, mask_sum, kSlow);
  double sum = 0;
  double n = 0;
  for (size_t i = 0; i < kPixels; ++i) {
    sum += static_cast<double>(square[i]);
    n += static_cast<double>(detail.weights[i]);
    // Running sums leave less than nothing where the picture is flat.
    detail.values[i] /= std::sqrt(std::max(power[i], 0.0f)) + kQuiet;
  }
  detail.blank = n < kMinShare * kPixels || sum < n;  // less than a level is rounding
  detail.smooth = MaskedMean(detail.values, detail.weights, BoxSum(detail.weights, 2), 2);
  return detail;
}

double Similarity(const Detail& a, const Detail& b) {
  if (a.blank || b.blank) return 0;
  Overlay overlay;
  if (Correlation(a, b, a.smooth, b.smooth, overlay) < kHopelessBefore) return 0;
  for (int i = 0; i < kCoarseSteps; ++i) {
    if (!Step(a, b, a.smooth, b.smooth, overlay)) {
      overlay = {};
      break;
    }
  }
  if (Correlation(a, b, a.smooth, b.smooth, overlay) < kHopelessAfter) return 0;
  for (int i = 0; i < kFineSteps; ++i) {
    if (!Step(a, b, a.values, b.values, overlay)) return 0;
  }
  return Correlation(a, b, a.values, b.values, overlay);
}

}  // namespace mead::dataset
