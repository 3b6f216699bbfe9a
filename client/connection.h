// The way to a coordinator: channel, stubs, deadlines, retries, and errors in words.
//
// Thread: one thread at a time.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "mead/v1/artifact.grpc.pb.h"
#include "mead/v1/cluster.grpc.pb.h"
#include "mead/v1/dataset.grpc.pb.h"
#include "mead/v1/sweep.grpc.pb.h"

namespace mead::client {

// What a shell sees (interface: "Exit").
enum ExitCode {
  kExitDone = 0,
  kExitFailed = 1,
  kExitUsage = 2,
  kExitUnreachable = 3,
  kExitNotAllowed = 4,
  kExitInterrupted = 130,
};

ExitCode ExitCodeOf(const absl::Status& status);

inline constexpr absl::Duration kCallDeadline = absl::Seconds(10);

class Connection {
 public:
  // address: HOST:PORT. origin: where it was taken from ("--server", "context local"), for
  // the message when nobody answers there. Connects at the first call.
  Connection(std::string address, std::string origin);

  // Makes one call; while the server is away, tries again a few times within about a second
  // (a restarting coordinator is back by then). Only for calls that may be repeated, which
  // all of the API's are.
  // Errors: the server's, as messages for the user; UNAVAILABLE says how to start or choose
  //   a server.
  template <typename Stub, typename Request, typename Response>
  [[nodiscard]] absl::Status Call(
      Stub& stub, grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
      const Request& request, Response* response, absl::Duration deadline = kCallDeadline) {
    return Retry([&] {
      grpc::ClientContext context;
      SetDeadline(&context, deadline);
      return (stub.*method)(&context, request, response);
    });
  }

  // For streams, whose reading the caller does.
  static void SetDeadline(grpc::ClientContext* context, absl::Duration deadline);
  // What the caller got from a stream's Finish, in words.
  [[nodiscard]] absl::Status Explain(const grpc::Status& status) const;

  mead::v1::ClusterService::Stub& cluster() { return *cluster_; }
  mead::v1::DatasetService::Stub& datasets() { return *datasets_; }
  mead::v1::SweepService::Stub& sweeps() { return *sweeps_; }
  mead::v1::ArtifactService::Stub& artifacts() { return *artifacts_; }
  const std::string& address() const { return address_; }

 private:
  absl::Status Retry(const std::function<grpc::Status()>& call) const;

  const std::string address_;
  const std::string origin_;
  std::unique_ptr<mead::v1::ClusterService::Stub> cluster_;
  std::unique_ptr<mead::v1::DatasetService::Stub> datasets_;
  std::unique_ptr<mead::v1::SweepService::Stub> sweeps_;
  std::unique_ptr<mead::v1::ArtifactService::Stub> artifacts_;
};

// The delay before retry `attempt` (from 0): doubling from 100 ms to 5 s, each with a random
// quarter more or less, so that clients of a restarted server do not come back in step.
absl::Duration RetryDelay(int attempt);

}  // namespace mead::client
