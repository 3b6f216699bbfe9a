// Artefacts from the coordinator, whole or in part.
//
// A lost connection is taken up again where it broke.
// Thread: one at a time per connection.
// Errors: NOT_FOUND (no such artefact there), DATA_LOSS (not what the digest says), CANCELLED
//   after an interrupt; else as Connection::Explain.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/connection.h"
#include "common/dataset/manifest.h"

namespace mead::client {

// All of an artefact, compared with its digest.
[[nodiscard]] absl::StatusOr<std::string> Download(Connection& connection,
                                                   const std::string& digest);

// `length` (> 0) bytes from `offset`.
[[nodiscard]] absl::StatusOr<std::string> DownloadPart(Connection& connection,
                                                       const std::string& digest, uint64_t offset,
                                                       uint64_t length);

// A picture's file out of its shard, compared with the manifest's digest.
[[nodiscard]] absl::StatusOr<std::string> DownloadPicture(Connection& connection,
                                                          const dataset::Manifest& manifest,
                                                          const dataset::Sample& sample);

}  // namespace mead::client
