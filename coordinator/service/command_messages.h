// The messages that carry the core's commands to workers.
//
// Thread: free functions without state.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "mead/v1/train_config.pb.h"
#include "mead/v1/worker.pb.h"

namespace mead::service {

[[nodiscard]] const core::WorkerRef& WorkerOf(const core::Command& command);

// The configuration that a trial trains with: the sweep's, its parameters
// applied, the defaults of the accelerator ("any": precision stays open).
// Errors: INTERNAL (the journal holds a specification that cannot be read).
[[nodiscard]] absl::StatusOr<v1::TrainConfig> TrialConfig(const core::ClusterState& state,
                                                          const core::Trial& trial,
                                                          core::Accelerator accelerator);

// Errors: NOT_FOUND (the command's trial, worker or data set is no longer in
//   the state), and as TrialConfig.
[[nodiscard]] absl::StatusOr<v1::SessionResponse> MessageFor(const core::Command& command,
                                                             const core::ClusterState& state);

}  // namespace mead::service
