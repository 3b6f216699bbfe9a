// The confusion matrix of an epoch of one trial, or of all folds of its configuration together:
// their counts add up to a matrix of every picture, each judged by the model that has not seen it.
//
// Thread: from any that may wait for the store.
#pragma once

#include "absl/status/statusor.h"
#include "coordinator/core/state.h"
#include "coordinator/store/store.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

// epoch: from 1; 0 means the trial's best one.
// Errors: OUT_OF_RANGE (the epoch has not been reported; says which have).
[[nodiscard]] absl::StatusOr<v1::GetConfusionResponse> ConfusionOf(store::Store& store,
                                                                   const core::Trial& trial,
                                                                   int epoch);

// Of those folds that have one: each of its own best epoch, or all of `epoch`.
// Errors: FAILED_PRECONDITION (the sweep has no folds), OUT_OF_RANGE (no fold has one).
[[nodiscard]] absl::StatusOr<v1::GetConfusionResponse> PooledConfusionOf(
    store::Store& store, const core::ClusterState& state, const core::Trial& trial, int epoch);

}  // namespace mead::service
