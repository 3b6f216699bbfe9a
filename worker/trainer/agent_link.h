// The trainer's stream to its agent.
//
// Queues: outgoing 64 messages; Send() waits when it is full, SendProgress() drops
//         the message. Incoming: 4; the agent sends two per trial.
// Thread: thread-safe. A reader and a reporter thread do the I/O, so that the
//         train thread never waits for it.
// Errors: when the stream breaks the agent is gone or has given this process up:
//         the process exits at once, from whichever thread sees it.
#pragma once

#include <grpcpp/client_context.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "common/base/bounded_queue.h"
#include "mead/v1/trainer.grpc.pb.h"

namespace mead::trainer {

class AgentLink {
 public:
  // Connects and says hello.
  // Errors: UNAVAILABLE (nobody listens on the socket).
  static absl::StatusOr<std::unique_ptr<AgentLink>> Connect(const std::string& socket, int slot,
                                                            const std::string& token);

  // The agent's next message; waits for it.
  v1::AttachResponse Next();
  void Send(v1::AttachRequest message);
  void SendProgress(v1::Progress progress);

 private:
  AgentLink() = default;
  void Read();
  void Report();

  std::unique_ptr<v1::TrainerService::Stub> stub_;
  grpc::ClientContext context_;  // no deadline: the stream lives as long as the process
  std::unique_ptr<grpc::ClientReaderWriter<v1::AttachRequest, v1::AttachResponse>> stream_;
  BoundedQueue<v1::AttachRequest> outgoing_{64};
  BoundedQueue<v1::AttachResponse> incoming_{4};
  std::jthread reader_;
  std::jthread reporter_;
};

}  // namespace mead::trainer
