// Sends a sweep file to the coordinator: judged by both, its weights uploaded in between.
//
// Thread: the main thread only.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "client/session.h"
#include "client/sweep_file.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

struct SubmissionOptions {
  bool dry_run = false;
  bool wait_for_resources = false;
};

// Returns nothing once the sweep is there (or, with dry_run, has been found to be valid), and
// the exit code after it has printed what is wrong with the file. The file gets what was found
// wrong, and the digest of its weights.
// Errors: of reaching the server and of uploading.
[[nodiscard]] absl::StatusOr<std::optional<int>> SubmitFile(
    Session& session, const SubmissionOptions& options, SweepFile* file,
    mead::v1::SubmitSweepResponse* response);

}  // namespace mead::client
