// Sends files to the coordinator's artefact store.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "client/connection.h"

namespace mead::client {

// done: bytes of this file that the coordinator holds; resumed_at: those it held before.
using UploadProgress = std::function<void(uint64_t done, uint64_t total, uint64_t resumed_at)>;

// Uploads a file under its digest. What is there already is not sent again: a complete
// artefact costs one small call, a part is gone on with. A lost connection is taken up
// again for two minutes.
// Errors: those of ArtifactService (RESOURCE_EXHAUSTED: the coordinator's disk is full),
//   NOT_FOUND for the file, CANCELLED after an interrupt.
[[nodiscard]] absl::Status UploadFile(Connection* connection, const std::string& path,
                                      const std::string& digest, const UploadProgress& progress);

}  // namespace mead::client
