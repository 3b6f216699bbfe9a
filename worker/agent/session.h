// The stream to the coordinator: registration, heartbeats, the outbox's reports
// out, commands in; opened again with jittered backoff whenever it breaks.
//
//   connecting --registered--> open --broken--> waiting (backoff) --> connecting
//   connecting --refused--> the end
//
// While it is broken the agent's members go on; the outbox keeps their reports.
//
// Thread: Run() belongs to the session's thread and starts one reader per stream.
//         Handlers are called from either.
#pragma once

#include <grpcpp/channel.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "mead/v1/worker.grpc.pb.h"
#include "worker/agent/outbox.h"

namespace mead::agent {

struct SessionOptions {
  std::shared_ptr<grpc::Channel> channel;
  // For messages.
  std::string coordinator;
  // Of the jitter between tries.
  uint64_t seed = 0;
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(3);
  absl::Duration registration_timeout = absl::Seconds(10);
};

struct SessionHandlers {
  // What to register with, now; called for every stream.
  std::function<v1::RegisterWorker()> registration;
  // Everything the coordinator sends, in order: `registered` first.
  std::function<void(const v1::SessionResponse&)> on_message;
};

class Session {
 public:
  Session(SessionOptions options, SessionHandlers handlers, Outbox& outbox)
      : options_(std::move(options)), handlers_(std::move(handlers)), outbox_(outbox) {}

  // Keeps the session open until stopped; OK then.
  // Errors: FAILED_PRECONDITION (protocol versions differ), INVALID_ARGUMENT (bad
  //   name, no slots), ABORTED (a newer process has this worker's id): trying
  //   again cannot help.
  absl::Status Run(std::stop_token stop);

  // Whether it is registered now. Any thread.
  bool open() const { return open_; }

  // From here on heartbeats say that the worker is being stopped, the next of them at once.
  // Any thread.
  void SetDraining();

 private:
  // One stream, to its end. registered: whether it came that far.
  absl::Status RunStream(std::stop_token stop, bool& registered);

  const SessionOptions options_;
  const SessionHandlers handlers_;
  Outbox& outbox_;
  std::unique_ptr<v1::WorkerService::Stub> stub_;
  // Assigned at the last registration; 0 before the first.
  uint64_t incarnation_ = 0;
  std::atomic<bool> open_ = false;
  std::atomic<bool> draining_ = false;
};

// A channel that notices a dead peer: HTTP/2 pings, and quick reconnects.
std::shared_ptr<grpc::Channel> MakeChannel(const std::string& coordinator);

}  // namespace mead::agent
