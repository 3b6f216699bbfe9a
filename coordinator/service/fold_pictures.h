// How many pictures the trials of each fold have: what the coordinator plans epochs by.
//
// Thread: may be called from any thread that may wait for the disk.
#pragma once

#include "absl/status/status.h"
#include "coordinator/core/state.h"
#include "coordinator/service/context.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

// Fills in spec.fold_pictures by spec.search, whatever stood there; without folds clears it.
// Errors: INVALID_ARGUMENT (the data set cannot be divided so: says why), and as LoadManifest.
[[nodiscard]] absl::Status FillFoldPictures(ServiceContext& context, const core::Dataset& dataset,
                                            v1::SweepSpec& spec);

}  // namespace mead::service
