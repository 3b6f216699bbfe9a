// Removes checkpoints that nothing names any more: a trial keeps its last and its
// best ones (`checkpoint` of the sweep file says how many), and what a sweep starts from stays as
// long as the sweep is known.
//
// Thread: may wait for the disk; not for the core thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "coordinator/store/artifact_store.h"

namespace mead::service {

// Those of `digests` that no trial and no sweep of the state refers to.
[[nodiscard]] std::vector<std::string> Unreferenced(const core::ClusterState& state,
                                                    const std::vector<std::string>& digests);

// What to let go of so that all trials' checkpoints take no more than `quota_bytes`, in this
// order: of ended trials what is not their best, those that ended first first; then of live
// trials what is neither their best nor their latest. Empty if they take no more already.
struct Excess {
  std::vector<std::string> digests;
  uint64_t freed_bytes = 0;
  uint64_t left_bytes = 0;  // may be above the quota: the rest must stay
};
[[nodiscard]] Excess OverQuota(const core::ClusterState& state, uint64_t quota_bytes);

void RemoveUnreferenced(const core::ClusterState& state, const std::vector<std::string>& digests,
                        store::ArtifactStore& artifacts);

}  // namespace mead::service
