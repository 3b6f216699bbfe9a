// The shell around Step(), modelled: journal, leases, streams, crashes.
#pragma once

#include <map>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/core/step.h"
#include "tests/simulation/simulation.h"

namespace mead::core {

// What an agent reports about a member; the worker's reference is filled in by
// the coordinator from the stream on which it comes.
struct Report {
  uint64_t sequence = 0;
  std::variant<MemberReady, EpochReported, CheckpointSaved, MemberExited> body;
};

class CoordinatorModel {
 public:
  CoordinatorModel(Simulation& simulation, Config config);

  // --- from users
  void Submit(const std::string& sweep_id, const SweepSpec& spec);
  void StopSomething();

  // --- from agents, on a stream
  void OnRegister(const StreamPtr& stream, const std::string& worker_id, int slots,
                  Accelerator accelerator, const std::vector<HeldMember>& held);
  void OnReport(const StreamPtr& stream, const Report& report);
  void OnDraining(const StreamPtr& stream);
  // Its end of a stream has noticed that it is cut.
  void OnStreamEnd(const StreamPtr& stream);

  // kill -9, and a new process after a while that replays the journal.
  void Crash();
  // A report that was seen before comes again, out of order.
  void ReplaySomething();

  bool up() const { return up_; }
  const ClusterState& state() const { return state_; }
  size_t events() const { return journal_.size(); }

 private:
  // Journals the event, runs it, checks what must be true, carries the commands
  // out. False when the process died on the way.
  bool Apply(decltype(Event::body) body);
  void Deliver(const std::vector<Command>& commands);
  void ArmTick();
  void ArmLease(const std::string& worker_id);
  void Restart();
  ClusterState Replay(size_t first, ClusterState from) const;

  Simulation& simulation_;
  // Durable.
  std::vector<Event> journal_;
  std::map<std::string, uint64_t> cursors_;  // by instance
  size_t snapshot_events_ = 0;
  ClusterState snapshot_;
  // Gone after a crash.
  bool up_ = true;
  uint64_t boot_ = 1;
  ClusterState state_;
  std::map<std::string, StreamPtr> streams_;  // by worker
  std::map<std::string, TimeMicros> last_heard_;
  TimeMicros tick_at_ = 0;
  StreamPtr registering_;  // the stream whose registration is being applied
  // Becomes durable in one transaction with the event that it comes with.
  std::pair<std::string, uint64_t> pending_cursor_;
  const double crash_probability_;  // before and after each transaction
};

}  // namespace mead::core
