// One rank of one attempt on one of this agent's slots, from Assign to MemberExited.
//
//   fetching (data, weights, checkpoint) + the trainer coming up
//     -> preparing -> ready -> training -> ending (uploads, process) -> ended
//
// A member that is asked to yield goes from training to ending after a step, with its gang and a
// checkpoint of it; before that it has nothing to save.
//
// Its end is reported once, when its process has ended or is warm and idle, and
// every checkpoint it wrote has been stored: after that the slot is free.
//
// Thread: the agent's event loop; fetches and uploads run on a thread each and
//   come back through the loop.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "common/base/bounded_queue.h"
#include "mead/v1/trainer.pb.h"
#include "mead/v1/worker.pb.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/artifact_source.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/outbox.h"
#include "worker/agent/trainer_pool.h"

namespace mead::agent {

// What the members of an agent share; all outlive them.
struct MemberContext {
  EventLoop& loop;
  Outbox& outbox;
  TrainerPool& trainers;
  ArtifactCache& cache;
  ArtifactSource& artifacts;
  // Work folders of members are made in it.
  std::filesystem::path work_dir;
  // Of this host, for the other ranks.
  std::string host;
  // CPU threads per slot.
  int threads = 1;
  bool gpu = false;
  // Of the jitter between tries.
  uint64_t seed = 0;
  // Decoded pictures that the trainers share; empty: none.
  std::filesystem::path decoded_dir;
  uint64_t decoded_limit_bytes = 0;
};

class Member {
 public:
  // on_ended: the last call, on the loop, after the end has been reported under
  // this sequence. The member may be destroyed from then on, but not inside it.
  Member(const MemberContext& context, v1::Assign assign,
         std::function<void(uint64_t exit_sequence)> on_ended);
  ~Member();

  const v1::Assign& assign() const { return assign_; }
  // Whether its exit has been reported; nothing comes after that.
  bool ended() const { return ended_; }
  v1::Member AsHeld() const;

  void Start();
  void Go(const std::string& rendezvous);
  // Ends it: its trainer is ended too. Reported when the process is gone.
  void Abort(const std::string& reason, v1::FailureKind kind = v1::FAILURE_KIND_INFRASTRUCTURE);
  // Ends it well: what is trained is saved before. reason: for people; grace: after it the
  // trainer is killed.
  void Yield(const std::string& reason, absl::Duration grace);

  // From the slot's trainer.
  void OnTrainerReady();
  void OnTrainerMessage(const v1::AttachRequest& message);
  void OnTrainerEnded(const std::string& how);
  void OnLines(std::vector<std::string> lines);

 private:
  struct Fetched {
    ArtifactCache::Pin manifest;
    std::vector<ArtifactCache::Pin> shards;
    ArtifactCache::Pin weights;  // empty path: none
    ArtifactCache::Pin resume;
  };
  struct Outcome {
    bool succeeded = false;
    v1::FailureKind kind = v1::FAILURE_KIND_UNSPECIFIED;
    std::string message;
    bool checkpoint_damaged = false;
    bool yielded = false;  // with its gang, after a checkpoint
  };

  // On the fetch thread.
  absl::StatusOr<Fetched> Fetch(std::stop_token stop) const;
  // On the upload thread.
  void UploadAll(std::stop_token stop);

  // Posts a task to the loop that is dropped if the member has gone by then.
  void Post(std::function<void()> task);
  void PrepareWhenPossible();
  // The attempt is over for this rank; the first outcome counts.
  void Finish(Outcome outcome);
  // Reports the end once nothing of the member runs any more.
  void EndWhenPossible();
  v1::Report NewReport() const;
  void ReportPhase(const std::string& phase);
  void AddLog(std::string line);
  void FlushLogs();

  const MemberContext& context_;
  const v1::Assign assign_;
  const std::filesystem::path work_dir_;
  const std::function<void(uint64_t)> on_ended_;
  // Tasks posted for this member hold it weakly.
  const std::shared_ptr<Member*> alive_;

  std::unique_ptr<Fetched> fetched_;
  bool trainer_ready_ = false;
  bool prepared_ = false;
  bool finished_ = false;
  bool ended_ = false;
  bool process_ended_ = false;
  std::string yield_reason_;  // empty: it was not asked to
  Outcome outcome_;
  int uploads_pending_ = 0;
  v1::LogBatch logs_;
  bool flush_scheduled_ = false;
  uint64_t dropped_lines_ = 0;

  // Written checkpoints and predictions wait here for the one upload thread. Bound: training
  // would have to be this many epochs ahead of the network to wait for it.
  BoundedQueue<v1::AttachRequest> to_upload_{1024};
  // Declared last, so that they are stopped and joined first.
  std::jthread fetch_thread_;
  std::jthread upload_thread_;
};

// A line of a member's log, as of now.
v1::LogLine MakeLogLine(const v1::Member& member, std::string text);

}  // namespace mead::agent
