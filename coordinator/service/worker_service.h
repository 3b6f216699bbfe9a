// WorkerService: the streams between agents and the core.
//
// Thread: gRPC's callback threads; a session's reads come one at a time, and its
//   writes go out one at a time from a queue. Commands and acknowledgements are
//   queued by the core thread, which never waits for a worker.
// Queue:  a session reads no further while kMaxInFlight of its reports wait for
//   their commit, so a fast worker is slowed by flow control, not by memory.
//   What goes out is bounded by that and by the commands for its slots.
#pragma once

#include <memory>

#include "coordinator/service/context.h"
#include "mead/v1/worker.grpc.pb.h"

namespace mead::service {

class WorkerServiceImpl final : public v1::WorkerService::CallbackService {
 public:
  explicit WorkerServiceImpl(ServiceContext& context) : context_(context) {}

  grpc::ServerBidiReactor<v1::SessionRequest, v1::SessionResponse>* Session(
      grpc::CallbackServerContext* call) override;

 private:
  ServiceContext& context_;
};

// What is wrong with a registration, or OK.
[[nodiscard]] absl::Status ValidateRegistration(const v1::RegisterWorker& registration);

}  // namespace mead::service
