// When a checkpoint is due in the midst of an epoch.
//
// Steps are counted alike by every rank. The clock is rank 0's: it is asked at steps that
// all ranks know beforehand, and its answer says at which step it is asked next. There the
// ranks also hear whether one of them is to end.
// Pure: times are given.
// Thread: the train thread owns it.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace mead::trainer {

class CheckpointSchedule {
 public:
  // every_steps: of an epoch, 0: none; every: zero: none.
  CheckpointSchedule(int64_t every_steps, absl::Duration every)
      : every_steps_(every_steps), every_(every) {}

  // Before the first step, and whenever a checkpoint is written.
  void Written(absl::Time now) { written_ = now; }
  // The steps of this epoch up to that one are done, or another attempt's.
  void StartEpoch(int64_t step, absl::Time now);

  // Whether the step, which has ended, is one to write after, by its number alone.
  bool DueAfter(int64_t step) const { return every_steps_ > 0 && step % every_steps_ == 0; }
  // Whether all ranks hear rank 0's answer after that step.
  bool AsksAfter(int64_t step) const { return step >= next_ask_; }

  struct Answer {
    bool write = false;
    int64_t steps_to_next = 1;  // at least 1
  };
  // Rank 0's, after a step: often enough to be late by two seconds or so.
  Answer Ask(int64_t step, absl::Time now) const;
  // What was answered, on every rank.
  void Heard(int64_t step, const Answer& answer) { next_ask_ = step + answer.steps_to_next; }

 private:
  const int64_t every_steps_;
  const absl::Duration every_;
  absl::Time written_;
  absl::Time epoch_began_;
  int64_t first_step_ = 0;
  int64_t next_ask_ = 1;
};

}  // namespace mead::trainer
