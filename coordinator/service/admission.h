// Whether a submitted sweep may be queued, and as what.
//
// Thread: free functions; they may wait for the artefact store.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/core/state.h"
#include "coordinator/service/context.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

// The specification with its defaults, fit to be queued.
// Errors: of SubmitSweep.
[[nodiscard]] absl::StatusOr<v1::SweepSpec> AdmitSweep(ServiceContext& context,
                                                       const core::ClusterState& state,
                                                       const v1::SubmitSweepRequest& request);

}  // namespace mead::service
