// The state as users see it: the messages of gRPC, HTTP and the page.
//
// Thread: free functions; they read a snapshot and may ask the store for what
//   this process has not seen, so not for the core thread or gRPC's callbacks.
#pragma once

#include "absl/time/time.h"
#include "coordinator/core/state.h"
#include "coordinator/service/context.h"
#include "mead/v1/cluster.pb.h"
#include "mead/v1/dataset.pb.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

// Where a trial stands in its epochs, from 0 to 1.
[[nodiscard]] double FractionDone(int epochs_done, int epochs_total,
                                  const v1::Progress* progress);

// What is left of a trial's training images at the current rate; InfiniteDuration
// if it is not known. Evaluations are not counted: they take a fraction of it.
[[nodiscard]] absl::Duration TimeLeft(double fraction_done, int epochs_total,
                                      uint64_t train_samples, const v1::Progress& progress);

// Without the trials. dataset figures come from the state.
[[nodiscard]] v1::Sweep SweepView(const core::ClusterState& state, const core::Sweep& sweep);
[[nodiscard]] v1::Trial TrialView(ServiceContext& context, const core::ClusterState& state,
                                  const core::Trial& trial);
[[nodiscard]] v1::Node NodeView(ServiceContext& context, const core::Worker& worker);
[[nodiscard]] v1::Dataset DatasetView(const core::Dataset& dataset);

}  // namespace mead::service
