// mead-worker and its trainers, modelled.
//
// Outbox, reconnects and supervision follow the rules that the real agent keeps;
// what trainers do, and when they die, is drawn at random.
#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/simulation/coordinator_model.h"
#include "tests/simulation/simulation.h"

namespace mead::core {

// A trainer's process.
struct Process {
  TrialRef trial;
  int rank = 0;
  int world_size = 0;
  int slot = 0;
  int resume_epoch = 0;
  bool ready = false;
  bool started = false;
  bool ended = false;
  bool dying = false;          // told to end
  uint64_t exit_sequence = 0;  // of its MemberExited, once ended
};

class AgentModel {
 public:
  AgentModel(Simulation& simulation, int index, int slots, Accelerator accelerator);

  const std::string& id() const { return id_; }
  bool up() const { return up_; }

  // The agent's process starts: a new instance without members.
  void Boot();
  // kill -9 of the agent; its trainers die with it. Boots again after a while.
  void Crash();
  // SIGTERM to the agent: its gangs yield, and it goes when they have, or after its grace. Boots
  // again after a while.
  void Drain();
  // A trainer dies by itself.
  void CrashATrainer();
  // The connection is cut, and for a while no new one can be made.
  void Partition(TimeMicros length);
  // Processes that have not ended.
  size_t live() const;

  // --- from the coordinator, on a stream
  void OnRegistered(const StreamPtr& stream, uint64_t acked);
  void OnCommand(const StreamPtr& stream, const Command& command);
  void OnAck(const StreamPtr& stream, uint64_t acked);
  // Its end of a stream has noticed that it is cut.
  void OnStreamEnd(const StreamPtr& stream);

 private:
  using Key = std::pair<std::string, std::pair<int, int>>;  // trial, attempt, rank
  static Key KeyOf(const TrialRef& trial, int rank) {
    return {trial.trial_id, {trial.attempt, rank}};
  }

  // Runs `action` later, unless the agent or the process is gone by then.
  void AfterFor(TimeMicros delay, const Key& key, std::function<void(Process&)> action);
  void Connect();
  void Send(const Report& report);
  void Post(decltype(Report::body) body);
  void Assign(const AssignMember& command);
  void Start(const StartMember& command);
  void Kill(Process& process);
  void End(const Key& key, bool succeeded, FailureKind kind, const std::string& message,
           bool yielded = false);
  void SayDraining();
  // The rank hears that its gang yields, and ends.
  void Yield(const Key& key, int epochs_done);
  // When what it ran has ended, or the grace has.
  void LeaveWhenIdle(TimeMicros latest);
  void EpochsFrom(const Key& key, int epoch);

  Simulation& simulation_;
  const int index_;
  const std::string id_;
  const int slots_;
  const Accelerator accelerator_;
  bool up_ = false;
  bool draining_ = false;
  uint64_t boot_ = 0;
  TimeMicros partitioned_until_ = 0;
  StreamPtr stream_;
  bool registered_ = false;
  std::map<Key, Process> processes_;
  std::deque<Report> outbox_;
  uint64_t next_sequence_ = 1;
};

}  // namespace mead::core
