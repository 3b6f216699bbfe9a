// A sweep followed until it has ended.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "client/connection.h"
#include "client/session.h"
#include "mead/v1/sweep.pb.h"

namespace mead::client {

struct FollowOptions {
  std::function<void(const mead::v1::WatchSweepResponse&)> on_update;
  // Takes what is drawn live from the terminal, before a line is written.
  std::function<void()> clear;
  // For errors: what goes on without us, and the command that, followed by its id, shows it again.
  std::string what = "sweep";
  std::string again = "mead watch";
};

// The last update, whose sweep has ended.
// Errors: CANCELLED after an interrupt, UNAVAILABLE where the coordinator ends the stream early;
//   else those of ReadStream (stream.h).
[[nodiscard]] absl::StatusOr<mead::v1::WatchSweepResponse> FollowSweep(
    Session& session, Connection& server, const std::string& sweep_id,
    const FollowOptions& options);

}  // namespace mead::client
