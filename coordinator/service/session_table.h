// Which stream leads to which worker, and the core's commands on their way there.
//
// A stream is attached before its registration is posted to the core, so that
// no command for the new incarnation can come before there is a stream to take
// it: until Bind() the commands for that worker wait with the stream.
//
// Thread: every method may be called from any thread; Deliver() by the core
//   thread, so it never blocks on the network.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/core/command.h"
#include "coordinator/core/state.h"
#include "mead/v1/worker.pb.h"

namespace mead::service {

// An open stream to a worker. Neither method waits.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void Send(v1::SessionResponse message) = 0;
  // What has been sent before still goes out; later calls do nothing.
  virtual void End(absl::Status status) = 0;
};

class SessionTable {
 public:
  void Attach(const std::string& worker_id, std::shared_ptr<WorkerLink> link);

  // The registration is durable: sends `registered`, then what waited for this
  // incarnation, and ends the worker's older streams.
  void Bind(const core::WorkerRef& worker, const std::shared_ptr<WorkerLink>& link,
            v1::SessionResponse registered);

  void Detach(const WorkerLink& link);

  // A command for a worker without a stream is dropped: the events that follow
  // (the worker registers again, or is lost) make the core command anew.
  void Deliver(const core::Command& command, const core::ClusterState& state);

  [[nodiscard]] bool IsConnected(const core::WorkerRef& worker) const;

  void EndAll(const absl::Status& status);

 private:
  struct Entry {
    std::string worker_id;
    uint64_t incarnation = 0;  // 0: not bound yet
    std::shared_ptr<WorkerLink> link;
    struct Waiting {
      uint64_t incarnation;
      v1::SessionResponse message;
    };
    std::vector<Waiting> waiting;
  };

  mutable absl::Mutex mu_;
  std::vector<Entry> entries_ ABSL_GUARDED_BY(mu_);
};

}  // namespace mead::service
