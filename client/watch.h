// `mead watch`: a sweep as it goes, until it has ended.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "client/session.h"

namespace mead::client {

// On a terminal a table that redraws; in a pipe a line per change; with -o json one
// message per line. Ends with the summary. A lost coordinator is waited for.
// Returns 0 when the sweep succeeded, 1 when it failed or was stopped.
// Errors: CANCELLED after Ctrl-C (the sweep goes on), and those of the call.
[[nodiscard]] absl::StatusOr<int> WatchSweep(Session& session, const std::string& sweep_id);

}  // namespace mead::client
