// Ids as people type them: in full, or shortened to any unique prefix.
//
// Errors: NOT_FOUND (nothing begins with it; near ids are named),
//   INVALID_ARGUMENT (empty, or it fits several; they are named).
// Thread: free functions without state.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "coordinator/core/state.h"

namespace mead::service {

[[nodiscard]] absl::StatusOr<const core::Sweep*> FindSweep(const core::ClusterState& state,
                                                           std::string_view id);

// A trial's id, or a sweep's, which means its best trial (the only one, if it
// has just one). Either part may be shortened: "s3k-7" is trial 7 of the sweep
// that begins with s3k.
// Errors: also NOT_FOUND if the sweep has no best trial yet.
[[nodiscard]] absl::StatusOr<const core::Trial*> FindTrial(const core::ClusterState& state,
                                                           std::string_view id);

[[nodiscard]] absl::StatusOr<const core::Dataset*> FindDataset(const core::ClusterState& state,
                                                               std::string_view name);

}  // namespace mead::service
