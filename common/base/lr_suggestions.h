// Which learning rates the curve of a range test suggests.
//
// Thread: pure functions.
// Source: fast.ai's Learner.lr_find, by its documentation and behaviour: the first tenth of the
//         steps asked for and the last five points are left out, and then
//         valley:  of the longest subsequence of falling losses, which ends at e and has n points,
//                  the place e - n + n/3 + n/6;
//         steep:   where the loss falls most per logarithm of the rate;
//         minimum: where the loss is smallest; a tenth of that rate is the suggestion.
//         Where the loss does not fall there is no suggestion, where fast.ai gives any.
#pragma once

#include <cstddef>
#include <optional>
#include <span>

#include "common/base/range_test.h"

namespace mead {

struct LrSuggestion {
  double lr = 0;
  size_t at = 0;  // the point of the curve that it comes from
};

struct LrSuggestions {
  std::optional<LrSuggestion> valley;
  std::optional<LrSuggestion> steep;
  std::optional<LrSuggestion> minimum_tenth;
  // The smallest loss is the last that was looked at: larger rates might give smaller ones.
  bool still_falls = false;
};

// curve: by rising rate, of a test that was to have `steps` steps and may have ended early.
LrSuggestions SuggestLearningRates(std::span<const RangeTestPoint> curve, int steps);

}  // namespace mead
