// Which of a session's steps are recorded as a CUDA graph and repeated: pure.
//
// A graph that holds collectives must be recorded and repeated by all ranks of a gang
// at the same steps, so the answers depend on nothing that a rank has for itself.
#pragma once

#include <cstdint>

#include "worker/train/config.h"

namespace mead::train {

struct RecordingSite {
  bool gpu = false;
  bool capturable = false;  // what carries the gang's sums
};

// Whether a session records steps at all. Sums in a fixed order wait on the host.
bool RecordsSteps(const TrainOptions& options, const RecordingSite& site);

// Whether a step of such a session is one of those that come again and again: of a
// whole batch, however it is shared out.
bool RecordsStepOf(const TrainOptions& options, int64_t global_n);

}  // namespace mead::train
