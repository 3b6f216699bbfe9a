// Every event, command and state as text: for logs, golden transcripts and for
// comparing states. Two states are equal exactly when their texts are; floating
// point values are printed with all of their bits.
#pragma once

#include <string>

#include "coordinator/core/command.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"

namespace mead::core {

// One line each, without a line end.
std::string DebugString(const Event& event);
std::string DebugString(const Command& command);

// A line per worker, data set, sweep and trial.
std::string DebugString(const ClusterState& state);

}  // namespace mead::core
