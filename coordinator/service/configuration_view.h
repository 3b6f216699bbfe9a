// The folds of each configuration of a sweep together, as users see them.
//
// Thread: free functions; they read a snapshot.
#pragma once

#include "coordinator/core/state.h"
#include "google/protobuf/repeated_field.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

// Those made so far, in order; none without folds.
void AddConfigurations(const core::ClusterState& state, const core::Sweep& sweep,
                       google::protobuf::RepeatedPtrField<v1::Configuration>* out);

// What a sweep with folds says of its best configuration; without folds nothing.
void SetBestConfiguration(const core::ClusterState& state, const core::Sweep& sweep,
                          v1::Sweep& view);

}  // namespace mead::service
