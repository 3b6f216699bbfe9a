// A cluster on this machine: one coordinator and some workers, as daemons.
//
// Layout of its folder: endpoints.json, mead.db, artifacts/ (the coordinator's own),
//   workers/NAME/ (a worker's), logs/NAME.log, run/NAME.pid.
// Thread: the main thread only.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/commands.h"
#include "client/daemon.h"

namespace mead::client {

struct Endpoints {
  std::string grpc;
  std::string http;
  int pid = 0;
};

class LocalCluster {
 public:
  // Nothing is started yet.
  explicit LocalCluster(std::string dir) : dir_(std::move(dir)) {}

  // Starts what does not run yet and waits until every worker is registered. On an error
  // what this call started is stopped again.
  // Errors: FAILED_PRECONDITION (a daemon ended: with the end of its log), DEADLINE_EXCEEDED,
  //   NOT_FOUND (programs are missing), CANCELLED.
  [[nodiscard]] absl::Status Up(const LocalUpOptions& options);
  // Ends workers, then the coordinator. Returns how many processes ran.
  int Down();

  // Those with a pid file whose process runs; the coordinator first.
  std::vector<Daemon> Running() const;
  // Names of those that once ran and were not stopped; "worker-2".
  std::vector<std::string> Known() const;
  // What the running coordinator says of itself.
  [[nodiscard]] absl::StatusOr<Endpoints> ReadEndpoints() const;

  // The one that runs no longer, of those that Up left running; null while all do.
  const Daemon* FirstDead() const;

  const std::string& dir() const { return dir_; }
  std::string LogPath(const std::string& name) const { return dir_ + "/logs/" + name + ".log"; }

 private:
  absl::Status StartAll(const LocalUpOptions& options);
  absl::Status Ensure(const std::string& name, std::vector<std::string> command,
                      const LocalUpOptions& options);
  absl::Status WaitUntilReady(absl::Time deadline);
  absl::Status WaitForWorkers(int workers, absl::Time deadline);
  absl::Status CheckAlive() const;
  static void StopWorkers(const std::vector<Daemon>& running);
  std::string PidPath(const std::string& name) const { return dir_ + "/run/" + name + ".pid"; }

  const std::string dir_;
  std::vector<Daemon> daemons_;
  // Of daemons_, those that this object started.
  std::vector<size_t> started_;
  Endpoints endpoints_;
};

}  // namespace mead::client
