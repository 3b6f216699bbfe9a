// Removes checkpoints and predictions that nothing names any more: a trial keeps its
// latest and its best of both, and what a sweep starts from stays as long as the sweep is known.
//
// Thread: may wait for the disk; not for the core thread.
#pragma once

#include <string>
#include <vector>

#include "coordinator/core/state.h"
#include "coordinator/store/artifact_store.h"

namespace mead::service {

// Those of `digests` that no trial and no sweep of the state refers to.
[[nodiscard]] std::vector<std::string> Unreferenced(const core::ClusterState& state,
                                                    const std::vector<std::string>& digests);

void RemoveUnreferenced(const core::ClusterState& state, const std::vector<std::string>& digests,
                        store::ArtifactStore& artifacts);

}  // namespace mead::service
