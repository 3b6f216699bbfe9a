// An agent without trainers: speaks the real protocol over real gRPC, reports
// made-up figures. Every rank behaves unless its options say otherwise.
//
// Thread: the constructor and destructor belong to the test; the stream has a
//   thread of its own; the other methods may be called from any.
#pragma once

#include <grpcpp/grpcpp.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/epoch_plan.h"
#include "common/version.h"
#include "mead/v1/artifact.grpc.pb.h"
#include "mead/v1/worker.grpc.pb.h"

namespace mead::testing {

struct FakeWorkerOptions {
  std::string id = "w1";
  std::string instance = "instance-1";
  int slots = 2;
  int protocol_version = kProtocolVersion;
  // Of the data set's training split: what the epoch plans depend on.
  uint64_t train_samples = 0;
  // val/accuracy of an epoch.
  std::function<double(const v1::TrainConfig&, int epoch)> accuracy =
      [](const v1::TrainConfig&, int epoch) { return 0.5 + 0.01 * epoch; };
  // Plans epochs with another seed than the configuration's.
  bool wrong_plan = false;
  // Feeds the first picture of an epoch in place of its last.
  bool wrong_pictures = false;
  // Rank 0 stops after this epoch until LetGo(); 0: never.
  int pause_after_epoch = 0;
  std::vector<std::string> classes = {"a", "b"};
};

class FakeWorker {
 public:
  FakeWorker(std::shared_ptr<grpc::Channel> channel, FakeWorkerOptions options);
  // Cuts the stream, as a dying process would.
  ~FakeWorker();

  // Each waits up to 20 s; false if it did not come.
  bool WaitRegistered();
  bool WaitPaused();
  bool WaitEnded();

  void LetGo();

  // Opens a new stream after the old one has ended, as the same instance, and
  // sends again what was not acknowledged.
  void Reconnect(std::shared_ptr<grpc::Channel> channel);

  grpc::Status ended_with();
  v1::Registered registered();
  std::vector<v1::Assign> assigned();
  uint64_t sent_sequence();
  uint64_t acked_sequence();
  // Reasons of the aborts and fences that came.
  std::vector<std::string> told();

 private:
  struct Running {
    v1::Assign assign;
    bool started = false;
    uint64_t exit_sequence = 0;  // of its MemberExited; 0: still running
  };
  using Stream = grpc::ClientReaderWriter<v1::SessionRequest, v1::SessionResponse>;

  void Connect();
  void Loop();
  void Handle(const v1::SessionResponse& message);
  void Acknowledged(uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void Train(const v1::Assign& assign);
  void SaveCheckpoint(const v1::Assign& assign, int epoch);
  void SavePredictions(const v1::Assign& assign, int epoch);
  // Stores it at the coordinator; its digest, or empty if that failed.
  std::string Upload(const std::string& data);
  void Exit(const v1::TrialRef& trial, int rank, bool succeeded);
  // Gives it a sequence number, keeps it until acknowledged, sends it.
  void Send(v1::Report report);
  void Write(const v1::SessionRequest& request);
  EpochPlan PlanOf(const v1::Assign& assign, int epoch) const;
  void FillLedger(const v1::Assign& assign, int epoch, v1::EpochReport& report) const;

  const FakeWorkerOptions options_;

  absl::Mutex mu_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<grpc::ClientContext> context_;
  std::unique_ptr<Stream> stream_;
  v1::Registered registered_ ABSL_GUARDED_BY(mu_);
  bool is_registered_ ABSL_GUARDED_BY(mu_) = false;
  bool ended_ ABSL_GUARDED_BY(mu_) = false;
  bool paused_ ABSL_GUARDED_BY(mu_) = false;
  bool let_go_ ABSL_GUARDED_BY(mu_) = false;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  grpc::Status status_ ABSL_GUARDED_BY(mu_);
  std::vector<v1::Assign> assigned_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> told_ ABSL_GUARDED_BY(mu_);
  std::map<int, Running> running_ ABSL_GUARDED_BY(mu_);  // by slot
  uint64_t sequence_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t acked_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<uint64_t, v1::Report> outbox_ ABSL_GUARDED_BY(mu_);
  std::mutex write_mu_;  // one write at a time

  std::vector<std::jthread> trials_;
  std::jthread thread_;
};

}  // namespace mead::testing
