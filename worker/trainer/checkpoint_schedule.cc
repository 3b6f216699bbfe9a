#include "worker/trainer/checkpoint_schedule.h"

#include <algorithm>

namespace mead::trainer {
namespace {

// A rank that is to end has seconds for it, and the others hear of it when they ask.
constexpr absl::Duration kLongestSilence = absl::Seconds(2);

}  // namespace

void CheckpointSchedule::StartEpoch(int64_t step, absl::Time now) {
  epoch_began_ = now;
  first_step_ = step;
  next_ask_ = step + 1;
}

CheckpointSchedule::Answer CheckpointSchedule::Ask(int64_t step, absl::Time now) const {
  const bool by_clock = every_ > absl::ZeroDuration();
  Answer answer{.write = by_clock && now - written_ >= every_};
  const absl::Duration left = !by_clock      ? kLongestSilence
                              : answer.write ? every_
                                             : every_ - (now - written_);
  const int64_t done = std::max<int64_t>(1, step - first_step_);
  const absl::Duration per_step = std::max((now - epoch_began_) / done, absl::Microseconds(100));
  answer.steps_to_next = std::max<int64_t>(1, std::min(left, kLongestSilence) / per_step);
  return answer;
}

}  // namespace mead::trainer
