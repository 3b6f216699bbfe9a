// Where a sweep's configurations come from.
//
// Pure: a configuration depends on the spec (with its search seed) and on the
// trial's index only. The order in which trials end, restarts and the cluster's
// size change nothing.
#pragma once

#include <cstdint>
#include <vector>

#include "coordinator/core/spec.h"

namespace mead::core {

// A sweep never makes more trials; the shell refuses larger ones.
inline constexpr int kMaxTrials = 100'000;

// Points of a dimension in a grid; 0 when it is continuous (a float range without
// a step), which a grid cannot walk.
int64_t GridPoints(const Dimension& dimension);

// How many configurations the sweep tries in all, such that their trials (one each, or one per
// fold) are at most kMaxTrials; 0 when its search method cannot walk its space.
int TotalConfigurations(const SweepSpec& spec);

// The configurations [first_index, first_index + count), in the order
// of spec.space. Needs first_index + count <= TotalConfigurations(spec).
std::vector<std::vector<Param>> Propose(const SweepSpec& spec, int first_index, int count);

}  // namespace mead::core
