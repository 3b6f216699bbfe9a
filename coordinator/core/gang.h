// Slots for gangs: all ranks of a trial at once, or none.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/core/state.h"

namespace mead::core {

struct SlotRef {
  std::string worker_id;
  int slot = 0;
  bool operator==(const SlotRef&) const = default;
};

// The slots that one gang could have at most if nothing else ran. A gang never
// mixes accelerators, so for kAny it is the larger of the two kinds.
int SlotsFor(const ClusterState& state, Accelerator accelerator);

// Chooses `ranks` of the available slots, one per rank, or nothing. Ranks of one
// worker are neighbours, and as few workers as possible are used: their ranks
// share memory, and a loss of one worker hits fewer gangs.
std::optional<std::vector<SlotRef>> PlaceGang(const ClusterState& state,
                                              const std::vector<SlotRef>& available, int ranks,
                                              Accelerator accelerator);

}  // namespace mead::core
