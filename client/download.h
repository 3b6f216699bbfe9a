// Reads parts of the coordinator's artefacts.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"

namespace mead::client {

// Of `size`: everything from the offset on.
inline constexpr uint64_t kToTheEnd = UINT64_MAX;

// The bytes [offset, offset + size) of an artefact; the stream is ended as soon as they are here,
// at most a few chunks of 1 MiB later. A lost connection is taken up again.
// Errors: those of ArtifactService, DATA_LOSS (the artefact ends before), CANCELLED after an
//   interrupt.
[[nodiscard]] absl::StatusOr<std::string> DownloadRange(Connection* connection,
                                                        const std::string& digest, uint64_t offset,
                                                        uint64_t size);

}  // namespace mead::client
