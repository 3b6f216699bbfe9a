#include "client/sweep_stream.h"

#include "absl/strings/str_cat.h"
#include "client/format.h"
#include "client/stream.h"
#include "common/status_util.h"

namespace mead::client {

using ::mead::v1::WatchSweepResponse;

absl::StatusOr<WatchSweepResponse> FollowSweep(Session& session, Connection& server,
                                               const std::string& sweep_id,
                                               const FollowOptions& options) {
  mead::v1::WatchSweepRequest request;
  request.set_sweep_id(sweep_id);
  WatchSweepResponse last;
  StreamOptions stream;
  stream.on_lost = [&] {
    options.clear();
    session.terminal.err << "mead: lost the coordinator at " << server.address()
                         << "; waiting for it to come back\n";
  };
  const absl::Status status = ReadStream<WatchSweepResponse>(
      server,
      [&](grpc::ClientContext* context) { return server.sweeps().WatchSweep(context, request); },
      [&](const WatchSweepResponse& update) {
        last = update;
        options.on_update(update);
        return !HasEnded(update.sweep().state());
      },
      stream);
  const std::string& id = last.sweep().id().empty() ? sweep_id : last.sweep().id();
  if (absl::IsCancelled(status)) {
    return absl::CancelledError(absl::StrCat("interrupted; the ", options.what, " goes on (",
                                             options.again, " ", id, ", mead stop ", id, ")"));
  }
  MEAD_RETURN_IF_ERROR(status);
  if (!HasEnded(last.sweep().state())) {
    return absl::UnavailableError(absl::StrCat("the coordinator at ", server.address(),
                                               " ended the watch before the ", options.what, "; ",
                                               options.again, " ", id, " shows how it goes on"));
  }
  return last;
}

}  // namespace mead::client
