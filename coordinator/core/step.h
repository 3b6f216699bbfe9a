// The control plane as one pure function.
//
// Pure: no clock, files, threads, network or global randomness. The same events
// give the same state and the same commands, always; the journal, replay and
// the simulation rest on that.
//
// Errors: an event that is stale (wrong attempt or incarnation) or impossible
//   (an unknown id) changes nothing; the shell validates before it makes events.
#pragma once

#include <optional>
#include <vector>

#include "coordinator/core/command.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"

namespace mead::core {

[[nodiscard]] std::vector<Command> Step(ClusterState& state, const Event& event);

// When a Tick is due; nullopt while nothing in the state waits for time.
[[nodiscard]] std::optional<TimeMicros> NextDeadline(const ClusterState& state);

}  // namespace mead::core
