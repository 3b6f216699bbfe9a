// One run of a gang, from the assignment of its slots until its last member is gone.
#include <algorithm>

#include "common/base/check.h"
#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"
#include "coordinator/core/words.h"

namespace mead::core {
namespace {

// For rank 0's checkpoint to be written and stored.
constexpr TimeMicros kYieldTimeout = 60'000'000;

Slot& SlotOf(Turn& turn, const GangMember& member) {
  return turn.state.workers.at(member.worker.worker_id).slots[static_cast<size_t>(member.slot)];
}

TrialRef RefOf(const Trial& trial) { return {trial.id, trial.attempt}; }

std::string RankOn(int rank, const WorkerRef& worker) {
  return "rank " + std::to_string(rank) + " on " + worker.worker_id;
}

void CloseStopped(Turn& turn, Trial& trial) {
  Move(trial, TrialState::kStopped);
  trial.failure = FailureKind::kNone;
  trial.message = "stopped on request";
  CloseTrial(turn, trial);
}

// Says how far the start is, and after a failure also why there is a new one.
void DescribeStart(Trial& trial) {
  const auto ready = std::ranges::count_if(trial.gang, &GangMember::ready);
  trial.message = std::to_string(ready) + " of " +
                  Count(static_cast<int64_t>(trial.gang.size()), "rank") + " ready";
  if (trial.attempt > 1) {
    trial.message +=
        "; attempt " + std::to_string(trial.attempt) + ", after: " + trial.failure_message;
  }
}

void StopMembers(Turn& turn, Trial& trial, const std::string& reason) {
  Move(trial, TrialState::kStopping);
  trial.start_deadline = 0;
  for (const GangMember& member : trial.gang) {
    if (!member.exited) Move(SlotOf(turn, member), SlotState::kDraining);
  }
  trial.message = reason + "; waits for its ranks to end";
}

void AbortMembers(Turn& turn, const Trial& trial, const std::string& reason) {
  for (size_t rank = 0; rank < trial.gang.size(); ++rank) {
    const GangMember& member = trial.gang[rank];
    if (member.exited) continue;
    turn.commands.push_back(
        AbortMember{member.worker, RefOf(trial), static_cast<int>(rank), reason});
  }
}

void StartGang(Turn& turn, Trial& trial) {
  Move(trial, TrialState::kRunning);
  trial.start_deadline = 0;
  trial.message = trial.attempt == 1 ? ""
                                     : "attempt " + std::to_string(trial.attempt) +
                                           ", after: " + trial.failure_message;
  for (size_t rank = 0; rank < trial.gang.size(); ++rank) {
    const GangMember& member = trial.gang[rank];
    Move(SlotOf(turn, member), SlotState::kBusy);
    turn.commands.push_back(
        StartMember{member.worker, RefOf(trial), static_cast<int>(rank), trial.rendezvous});
  }
}

}  // namespace

void BeginAttempt(Turn& turn, Trial& trial, const std::vector<SlotRef>& places) {
  Move(trial, TrialState::kStarting);
  ++trial.attempt;
  trial.rendezvous.clear();
  trial.start_deadline = turn.now + turn.state.config.start_timeout;
  SetDeadline(turn, trial.start_deadline);
  if (trial.start_time == 0) trial.start_time = turn.now;
  for (size_t i = 0; i < places.size(); ++i) {
    const Worker& worker = turn.state.workers.at(places[i].worker_id);
    const int rank = static_cast<int>(i);
    trial.gang.push_back({.worker = {worker.id, worker.incarnation}, .slot = places[i].slot});
    Slot& slot = SlotOf(turn, trial.gang.back());
    Move(slot, SlotState::kReserved);
    slot.trial = RefOf(trial);
    slot.rank = rank;
  }
  for (size_t i = 0; i < places.size(); ++i) SendAssign(turn, trial, static_cast<int>(i));
  DescribeStart(trial);
}

void SendAssign(Turn& turn, const Trial& trial, int rank) {
  const GangMember& member = trial.gang[static_cast<size_t>(rank)];
  turn.commands.push_back(AssignMember{.worker = member.worker,
                                       .trial = RefOf(trial),
                                       .rank = rank,
                                       .world_size = static_cast<int>(trial.gang.size()),
                                       .slot = member.slot,
                                       .resume_digest = trial.latest.digest,
                                       .resume_epoch = trial.latest.epoch,
                                       .resume_step = trial.latest.step});
}

void EndAttempt(Turn& turn, Trial& trial, const std::string& reason) {
  if (trial.state != TrialState::kStarting && trial.state != TrialState::kRunning) return;
  StopMembers(turn, trial, reason);
  AbortMembers(turn, trial, reason);
  FinishAttemptIfGone(turn, trial);
}

void LetAttemptYield(Turn& turn, Trial& trial, const std::string& reason) {
  if (trial.state != TrialState::kRunning) return EndAttempt(turn, trial, reason);
  StopMembers(turn, trial, reason);
  trial.yield_deadline = turn.now + kYieldTimeout;
  SetDeadline(turn, trial.yield_deadline);
  FinishAttemptIfGone(turn, trial);
}

void PassYieldDeadline(Turn& turn, Trial& trial) {
  trial.yield_deadline = 0;
  AbortMembers(turn, trial, "it has not ended by itself within " + Duration(kYieldTimeout));
}

void Blame(Trial& trial, FailureKind kind, const std::string& message) {
  if (trial.stop_requested) return;  // then nobody is to blame
  if (kind == FailureKind::kNone) kind = FailureKind::kInfrastructure;
  const auto telling = [](FailureKind k) {
    switch (k) {
      case FailureKind::kNone:
        return 0;
      case FailureKind::kInfrastructure:
        return 1;
      case FailureKind::kPreempted:
        return 2;
      case FailureKind::kOutOfMemory:
        return 3;
      case FailureKind::kUserError:
        return 4;
    }
    return 0;
  };
  // What is left from an attempt before this one has been dealt with.
  const bool first = trial.state == TrialState::kStarting || trial.state == TrialState::kRunning;
  if (!first && telling(kind) <= telling(trial.failure)) return;
  trial.failure = kind;
  trial.failure_message = message;
}

void SetGone(Trial& trial, int rank, bool succeeded) {
  GangMember& member = trial.gang[static_cast<size_t>(rank)];
  member.exited = true;
  member.succeeded = succeeded;
}

void FinishAttemptIfGone(Turn& turn, Trial& trial) {
  if (trial.state != TrialState::kStopping) return;
  if (!std::ranges::all_of(trial.gang, &GangMember::exited)) return;
  trial.gang.clear();
  trial.yield_deadline = 0;
  turn.schedule = true;
  if (trial.stop_requested) {
    CloseStopped(turn, trial);
  } else {
    RetryOrFail(turn, trial);
  }
}

void StopTrial(Turn& turn, Trial& trial, const std::string& reason) {
  if (HasEnded(trial.state)) return;
  trial.stop_requested = true;
  if (trial.state == TrialState::kQueued) {
    CloseStopped(turn, trial);
  } else if (trial.yield_deadline != 0) {
    PassYieldDeadline(turn, trial);  // what it would save is not wanted
  } else {
    EndAttempt(turn, trial, reason);
  }
}

void PassStartDeadline(Turn& turn, Trial& trial) {
  std::string late;
  int64_t count = 0;
  for (size_t rank = 0; rank < trial.gang.size(); ++rank) {
    if (trial.gang[rank].ready) continue;
    late += (count++ == 0 ? "" : ", ") + RankOn(static_cast<int>(rank), trial.gang[rank].worker);
  }
  const std::string reason =
      std::to_string(count) + " of " + Count(static_cast<int64_t>(trial.gang.size()), "rank") +
      " not ready within " + Duration(turn.state.config.start_timeout) + ": " + late;
  Blame(trial, FailureKind::kInfrastructure, reason);
  EndAttempt(turn, trial, reason);
}

void Handle(Turn& turn, const TrialStopRequested& event) {
  const auto it = turn.state.trials.find(event.trial_id);
  if (it != turn.state.trials.end()) StopTrial(turn, it->second, "stopped on request");
}

void Handle(Turn& turn, const MemberReady& event) {
  Trial* trial = TrialOfMember(turn, event.worker, event.trial, event.rank);
  if (trial == nullptr || trial->state != TrialState::kStarting) return;
  trial->gang[static_cast<size_t>(event.rank)].ready = true;
  if (event.rank == 0) trial->rendezvous = event.rendezvous;
  if (std::ranges::all_of(trial->gang, &GangMember::ready)) {
    StartGang(turn, *trial);
  } else {
    DescribeStart(*trial);
  }
}

void Handle(Turn& turn, const MemberExited& event) {
  Worker* worker = CurrentWorker(turn, event.worker);
  if (worker == nullptr) return;
  // By slot, not by gang: a slot may drain for an attempt that is over.
  const auto slot = std::ranges::find_if(
      worker->slots, [&](const Slot& s) { return s.trial == event.trial && s.rank == event.rank; });
  if (slot == worker->slots.end()) return;
  Trial* trial = TrialOfMember(turn, event.worker, event.trial, event.rank);
  Move(*slot, SlotState::kIdle);
  turn.schedule = true;
  if (trial == nullptr) return;

  SetGone(*trial, event.rank, event.succeeded);
  if (event.checkpoint_damaged) trial->latest_damaged = true;
  const bool well = event.succeeded && trial->state == TrialState::kRunning;
  if (well) {
    if (!std::ranges::all_of(trial->gang, &GangMember::exited)) return;
    trial->gang.clear();
    trial->failure = FailureKind::kNone;
    // All ranks say the same, so the last one to end may speak for them.
    trial->message = event.message;
    if (trial->attempt > 1) {
      trial->message += (event.message.empty() ? "" : "; ") + std::string("succeeded in attempt ") +
                        std::to_string(trial->attempt);
    }
    Move(*trial, TrialState::kSucceeded);
    CloseTrial(turn, *trial);
  } else if (!event.succeeded) {
    const std::string reason = RankOn(event.rank, event.worker) + ": " + event.message;
    Blame(*trial, event.kind, reason);
    if (event.yielded) {
      LetAttemptYield(turn, *trial, reason);
    } else {
      EndAttempt(turn, *trial, reason);
    }
  } else if (trial->state == TrialState::kStarting) {
    const std::string reason =
        RankOn(event.rank, event.worker) + " ended before the training was started";
    Blame(*trial, FailureKind::kInfrastructure, reason);
    EndAttempt(turn, *trial, reason);
  }
  FinishAttemptIfGone(turn, *trial);
}

}  // namespace mead::core
