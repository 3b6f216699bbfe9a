// The agent of one node: its slots and their members, and the session that
// commands them.
//
// Thread: Run() is the event loop and owns everything here; RequestStop() may be
//         called from any thread.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/files.h"
#include "common/version.h"
#include "worker/agent/artifact_cache.h"
#include "worker/agent/artifact_client.h"
#include "worker/agent/event_loop.h"
#include "worker/agent/member.h"
#include "worker/agent/outbox.h"
#include "worker/agent/session.h"
#include "worker/agent/trainer_pool.h"

namespace mead::agent {

struct AgentOptions {
  std::string coordinator;  // HOST:PORT
  std::string name;         // [a-z0-9.-]{1,63}
  std::string address;      // where other ranks reach this host
  std::string device;       // for people
  int slots = 1;
  int threads_per_slot = 1;
  bool gpu = false;
  std::filesystem::path dir;
  uint64_t cache_bytes = uint64_t{20} << 30;
  // Of decoded pictures that the trainers share; 0: none are kept.
  uint64_t decoded_cache_bytes = uint64_t{10} << 30;
  std::filesystem::path trainer;  // mead-trainer
  int protocol_version = kProtocolVersion;
  // From the first RequestStop() until Run() returns, at most.
  absl::Duration grace = absl::Seconds(25);
};

class Agent {
 public:
  // Takes the folder for itself and clears what a killed agent left in it.
  // Errors: FAILED_PRECONDITION (another agent has the folder, or no trainer
  //   program), or the disk's.
  static absl::StatusOr<std::unique_ptr<Agent>> Create(AgentOptions options);
  ~Agent();

  // Works until RequestStop(), then lets the members save what they have trained and end, for
  // as long as the grace is, reports that, and returns OK. A second RequestStop() ends them at
  // once.
  // Errors: the coordinator's refusal (session.h).
  absl::Status Run();
  void RequestStop();

 private:
  explicit Agent(AgentOptions options);
  absl::Status Init();
  v1::RegisterWorker Registration();
  // On the loop.
  void OnMessage(const v1::SessionResponse& message);
  void OnAssign(const v1::Assign& assign);
  void EndMember(const v1::TrialRef& trial, int rank, const std::string& reason);
  void EndAllMembers(const std::string& reason,
                     v1::FailureKind kind = v1::FAILURE_KIND_INFRASTRUCTURE);
  void OnMemberEnded(int slot, uint64_t exit_sequence);
  // What a slot's trainer printed after its member had ended.
  void OnLateLines(int slot, std::vector<std::string> lines);
  void ReportExited(const v1::TrialRef& trial, int rank, v1::FailureKind kind,
                    const std::string& message);
  void Drain();
  void StopNow();
  void StopIfIdle();
  void RenewHealth();
  Member* FindMember(const v1::TrialRef& trial, int rank);

  const AgentOptions options_;
  const std::string instance_id_;
  const uint64_t seed_;
  ScopedFd lock_;
  std::filesystem::path socket_dir_;  // removed at the end
  EventLoop loop_;
  Outbox outbox_;
  std::unique_ptr<ArtifactClient> artifacts_;
  std::unique_ptr<ArtifactCache> cache_;
  std::unique_ptr<TrainerPool> trainers_;
  std::unique_ptr<MemberContext> context_;
  std::map<int, std::unique_ptr<Member>> members_;  // by slot
  std::map<int, v1::Member> last_members_;          // that ended last, by slot
  bool draining_ = false;                           // takes nothing new
  bool stopping_ = false;
  absl::Status result_;

  // A member whose end is not acknowledged yet still counts as held: a
  // coordinator that heard nothing of its end must not take it for lost.
  struct Held {
    v1::Member member;
    uint64_t exit_sequence = 0;  // 0: it has not ended
  };
  absl::Mutex held_mutex_;
  std::vector<Held> held_ ABSL_GUARDED_BY(held_mutex_);

  std::unique_ptr<Session> session_;
  // Declared last, so that it ends first.
  std::jthread session_thread_;
};

}  // namespace mead::agent
