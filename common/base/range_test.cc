#include "common/base/range_test.h"

#include <cmath>

namespace mead {

double RangeTestRate(const RangeTestOptions& options, int64_t step) {
  if (step <= 0 || options.steps < 2) return options.min_lr;
  if (step >= options.steps - 1) return options.max_lr;
  const double share = static_cast<double>(step) / (options.steps - 1);
  return options.min_lr * std::pow(options.max_lr / options.min_lr, share);
}

void RangeTest::Add(double loss) {
  if (!std::isfinite(loss)) return Diverged();
  average_ = kSmoothing * average_ + (1 - kSmoothing) * loss;
  weight_ *= kSmoothing;
  const double smoothed = average_ / (1 - weight_);
  points_.push_back({.lr = RangeTestRate(options_, static_cast<int64_t>(points_.size())),
                     .loss = loss,
                     .smoothed_loss = smoothed});
  if (points_.size() == 1 || smoothed < best_) best_ = smoothed;
  if (smoothed > kRise * best_) {
    state_ = State::kRose;
  } else if (points_.size() >= static_cast<size_t>(options_.steps)) {
    state_ = State::kAllSteps;
  }
}

void RangeTest::Diverged() { state_ = State::kDiverged; }

}  // namespace mead
