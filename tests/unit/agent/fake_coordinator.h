// A coordinator of a test: it keeps what workers say and sends what the test wants.
//
// Thread: thread-safe; gRPC's threads serve, the test's thread asks and waits.
#pragma once

#include <grpcpp/server.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "mead/v1/artifact.grpc.pb.h"
#include "mead/v1/worker.grpc.pb.h"

namespace mead::agent {

class FakeCoordinator {
 public:
  // port 0: any free one.
  explicit FakeCoordinator(int port = 0);
  ~FakeCoordinator();

  int port() const { return port_; }
  std::string address() const;

  // Stores an artefact and returns its digest.
  std::string Put(const std::string& content);
  bool HasArtifact(const std::string& digest) const;

  // Answers every registration with this error from now on; OK: registers.
  void RefuseWith(const grpc::Status& status);
  // What the next registration is told.
  void SetAckedSequence(uint64_t sequence);
  void AddStaleMember(const v1::Member& member);
  // Whether reports are acknowledged as they come (as a durable store would).
  void SetAcknowledging(bool acknowledging);

  // Sends to the worker's open session; waits for one.
  void Send(const v1::SessionResponse& response);
  // Ends the open session from this side.
  void BreakSession();

  // Waits until the predicate holds of the reports so far, in order of arrival
  // (repeats included); false after 20 s.
  using Reports = std::vector<v1::Report>;
  bool WaitForReports(const std::function<bool(const Reports&)>& predicate);
  Reports reports() const;
  // Waits for so many registrations and returns them; fewer after 20 s.
  std::vector<v1::RegisterWorker> WaitForRegistrations(size_t count);
  // Of the registrations' requests.
  std::vector<uint64_t> registration_incarnations() const;
  int heartbeats() const;
  // Whether the worker has said that it is being stopped.
  bool draining() const;

 private:
  class Workers;
  class Artifacts;
  struct Session;

  bool AwaitLocked(const std::function<bool()>& condition) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  mutable absl::CondVar changed_;
  grpc::Status refusal_ ABSL_GUARDED_BY(mutex_);
  bool acknowledging_ ABSL_GUARDED_BY(mutex_) = true;
  uint64_t acked_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<v1::Member> stale_ ABSL_GUARDED_BY(mutex_);
  Reports reports_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::RegisterWorker> registrations_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint64_t> incarnations_ ABSL_GUARDED_BY(mutex_);
  int heartbeats_ ABSL_GUARDED_BY(mutex_) = 0;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, std::string> artifacts_ ABSL_GUARDED_BY(mutex_);
  Session* session_ ABSL_GUARDED_BY(mutex_) = nullptr;

  std::unique_ptr<Workers> workers_;
  std::unique_ptr<Artifacts> artifact_service_;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace mead::agent
