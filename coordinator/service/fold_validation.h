// What a sweep file may say about folds.
//
// Thread: free functions without state.
#pragma once

#include "coordinator/service/violations.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

void CheckFolds(const v1::SweepSpec& spec, Violations& out);

}  // namespace mead::service
