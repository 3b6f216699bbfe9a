// What a user watching a trial sees of the epoch under way, about twice a second.
//
// Thread: the train thread.
#pragma once

#include <cstdint>

#include "absl/time/time.h"
#include "worker/train/session.h"
#include "worker/trainer/agent_link.h"

namespace mead::trainer {

class ProgressReporter {
 public:
  // speaks: of a gang, rank 0 alone. The link outlives it.
  ProgressReporter(AgentLink& link, bool speaks) : link_(link), speaks_(speaks) {}

  // An epoch begins: images per second are counted from here.
  void Start();
  // After a step. phase: "train" or "eval"; samples: of that step, over the gang.
  void Add(const char* phase, int epoch, uint64_t step, uint64_t steps, int64_t samples,
           const train::EpochSoFar& so_far);

 private:
  AgentLink& link_;
  const bool speaks_;
  // Since the last report.
  absl::Time window_start_;
  int64_t window_samples_ = 0;
};

}  // namespace mead::trainer
