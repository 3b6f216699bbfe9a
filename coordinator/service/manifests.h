// Manifests in the artefact store.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/dataset/manifest.h"
#include "coordinator/service/context.h"

namespace mead::service {

// Thread: may be called from any thread that may wait for the disk.
// Errors: FAILED_PRECONDITION (not uploaded), INVALID_ARGUMENT (not a manifest).
[[nodiscard]] absl::StatusOr<dataset::Manifest> LoadManifest(ServiceContext& context,
                                                             const std::string& digest);

}  // namespace mead::service
