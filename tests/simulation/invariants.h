// What must be true of the cluster's state after every event.
#pragma once

#include <string>
#include <vector>

#include "coordinator/core/command.h"
#include "coordinator/core/state.h"

namespace mead::core {

// The first thing that is wrong, in words; empty if all is well.
std::string BrokenInvariant(const ClusterState& state);

// As above, for what one event did.
std::string BrokenStep(const ClusterState& before, const ClusterState& after,
                       const std::vector<Command>& commands);

}  // namespace mead::core
