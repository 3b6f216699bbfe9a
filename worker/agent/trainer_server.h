// The agent's end of the trainers' streams: TrainerService on a Unix socket.
//
// A trainer is known by the random token that it was started with; a stream
// whose hello has another is refused, so no other process of this machine can
// pose as a trainer.
//
// Bound:  one request per stream is read ahead of its handling; responses are two per trial.
// Thread: Send, Expect and Forget from any thread. Handlers run on gRPC's threads
//         and must not block.
#pragma once

#include <grpcpp/server.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "mead/v1/trainer.grpc.pb.h"

namespace mead::agent {

class TrainerServer {
 public:
  struct Handlers {
    // Call next() when the message has been dealt with; the next one is read then.
    std::function<void(const std::string& token, v1::AttachRequest message,
                       std::function<void()> next)>
        on_message;
    std::function<void(const std::string& token)> on_closed;
  };

  // socket: at most 107 bytes (a limit of Unix sockets). An old file there goes.
  // Errors: INVALID_ARGUMENT (path too long), UNAVAILABLE (cannot listen).
  static absl::StatusOr<std::unique_ptr<TrainerServer>> Create(const std::filesystem::path& socket,
                                                               Handlers handlers);
  // Ends every stream.
  ~TrainerServer();

  // Lets the trainer with this token attach, until it is forgotten.
  void Expect(const std::string& token);
  void Forget(const std::string& token);
  // Queues a response; dropped when the trainer is not attached (its end is
  // reported by the supervisor).
  void Send(const std::string& token, v1::AttachResponse response);

  class Service;  // in the .cc; public for its reactors

 private:
  TrainerServer(std::unique_ptr<Service> service, std::unique_ptr<grpc::Server> server);
  const std::unique_ptr<Service> service_;
  const std::unique_ptr<grpc::Server> server_;
};

}  // namespace mead::agent
