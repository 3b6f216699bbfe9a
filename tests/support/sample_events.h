// Events to store and replay.
#pragma once

#include <vector>

#include "coordinator/core/event.h"
#include "coordinator/core/state.h"

namespace mead::testing {

// A sweep with a dimension of every kind and no member left at its default.
core::SweepSpec SampleSpec();

// One of every kind of event, no member left at its default.
std::vector<core::Event> OneOfEachEvent();

// The life of a cluster: workers come, go and come back, a sweep of gangs runs,
// fails in every way that has a budget, is checkpointed, is stopped. `rounds`
// makes it longer. Every state on the way is one that a snapshot may be taken of.
std::vector<core::Event> ClusterLife(int rounds);

}  // namespace mead::testing
