// A manifest's near-duplicates, for the API.
//
// Thread: pure functions.
#pragma once

#include "common/dataset/manifest.h"
#include "mead/v1/dataset.pb.h"

namespace mead::service {

// The counts, small enough to be kept in the journal with the data set.
v1::LeakageReport LeakageCounts(const dataset::Manifest& manifest);

// Adds the names, of which there may be many.
void AddLeakageNames(const dataset::Manifest& manifest, v1::LeakageReport& report);

}  // namespace mead::service
