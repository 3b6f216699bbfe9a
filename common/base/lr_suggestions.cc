#include "common/base/lr_suggestions.h"

#include <algorithm>
#include <cmath>
#include <vector>

namespace mead {
namespace {

constexpr size_t kLastPoints = 5;  // they may be on their way up already
constexpr size_t kFewest = 3;      // points that anything can be said of

// Quadratic, for a curve of a thousand points at most.
std::optional<size_t> Valley(std::span<const RangeTestPoint> curve) {
  // Of the longest falling subsequence that ends at each point.
  std::vector<size_t> lengths(curve.size(), 1);
  for (size_t i = 1; i < curve.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (curve[i].smoothed_loss < curve[j].smoothed_loss) {
        lengths[i] = std::max(lengths[i], lengths[j] + 1);
      }
    }
  }
  const auto longest = std::ranges::max_element(lengths);
  if (*longest < 2) return std::nullopt;
  const auto end = static_cast<size_t>(longest - lengths.begin());
  const size_t place = end + *longest / 3 + *longest / 6;
  return place > *longest ? place - *longest : 0;
}

std::optional<size_t> Steepest(std::span<const RangeTestPoint> curve) {
  std::optional<size_t> steepest;
  double least = 0;
  for (size_t i = 0; i + 1 < curve.size(); ++i) {
    const double slope = (curve[i + 1].smoothed_loss - curve[i].smoothed_loss) /
                         (std::log(curve[i + 1].lr) - std::log(curve[i].lr));
    if (slope >= least) continue;
    least = slope;
    steepest = i;
  }
  return steepest;
}

}  // namespace

LrSuggestions SuggestLearningRates(std::span<const RangeTestPoint> curve, int steps) {
  LrSuggestions suggestions;
  const auto first = static_cast<size_t>(std::max(steps, 0)) / 10;
  if (curve.size() < first + kLastPoints + kFewest) return suggestions;
  const auto used = curve.subspan(first, curve.size() - first - kLastPoints);
  const auto at = [&](size_t i, double factor) {
    return LrSuggestion{.lr = used[i].lr * factor, .at = first + i};
  };
  if (const auto place = Valley(used)) suggestions.valley = at(*place, 1);
  if (const auto place = Steepest(used)) suggestions.steep = at(*place, 1);
  const auto smallest = std::ranges::min_element(used, {}, &RangeTestPoint::smoothed_loss);
  const auto place = static_cast<size_t>(smallest - used.begin());
  if (place > 0) suggestions.minimum_tenth = at(place, 0.1);
  suggestions.still_falls = place + 1 == used.size();
  return suggestions;
}

}  // namespace mead
