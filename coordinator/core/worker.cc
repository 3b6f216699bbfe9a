// Workers come, come back, are drained and lost.
//
// An incarnation is a worker's time between registering as new and being lost.
// What a member of another incarnation says or does counts for nothing.
#include <algorithm>

#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"

namespace mead::core {
namespace {

// Lost workers stay visible for a while; nodes of a pool have ever new names.
constexpr size_t kMaxLostWorkers = 64;

WorkerRef RefOf(const Worker& worker) { return {worker.id, worker.incarnation}; }

struct Member {
  TrialRef trial;
  int rank = 0;
};

// The members' processes are gone without a report. All are marked before any
// attempt is ended, so that none of them is sent a command.
void LoseMembers(Turn& turn, const WorkerRef& worker, const std::vector<Member>& members,
                 const std::string& reason) {
  std::vector<Trial*> trials;
  for (const Member& member : members) {
    Trial* trial = TrialOfMember(turn, worker, member.trial, member.rank);
    if (trial == nullptr) continue;
    SetGone(*trial, member.rank, /*succeeded=*/false);
    trials.push_back(trial);
  }
  for (Trial* trial : trials) {
    if (trial->state == TrialState::kStarting || trial->state == TrialState::kRunning) {
      Blame(*trial, FailureKind::kInfrastructure, reason);
      EndAttempt(turn, *trial, reason);
    } else {
      FinishAttemptIfGone(turn, *trial);
    }
  }
}

void Lose(Turn& turn, Worker& worker, const std::string& reason) {
  const std::string words = "worker " + worker.id + " was lost: " + reason;
  std::vector<Member> members;
  for (Slot& slot : worker.slots) {
    if (slot.state != SlotState::kIdle) members.push_back({slot.trial, slot.rank});
    Move(slot, SlotState::kLost);
  }
  LoseMembers(turn, RefOf(worker), members, words);
  worker.lost = true;
  worker.lost_time = turn.now;
  turn.commands.push_back(FenceWorker{RefOf(worker), reason});
  turn.schedule = true;
}

void ForgetOldestLost(ClusterState& state) {
  std::vector<const Worker*> lost;
  for (const auto& [id, worker] : state.workers) {
    if (worker.lost) lost.push_back(&worker);
  }
  if (lost.size() <= kMaxLostWorkers) return;
  state.workers.erase(std::string((*std::ranges::min_element(lost, {}, [](const Worker* worker) {
                                    return worker->lost_time;
                                  }))->id));
}

void Describe(Worker& worker, const WorkerRegistered& event) {
  worker.address = event.address;
  worker.version = event.version;
  worker.device = event.device;
}

bool Yields(Turn& turn, const WorkerRef& worker, const Slot& slot) {
  const Trial* trial = TrialOfMember(turn, worker, slot.trial, slot.rank);
  return trial != nullptr && trial->yield_deadline != 0;
}

// The stream broke and came back; on either side messages may have been lost.
// What the worker holds is compared with what the state says, slot by slot.
void Reconnect(Turn& turn, Worker& worker, const WorkerRegistered& event) {
  Describe(worker, event);
  const WorkerRef ref = RefOf(worker);
  const auto slot_of = [&](const HeldMember& held) -> Slot* {
    if (held.slot < 0 || static_cast<size_t>(held.slot) >= worker.slots.size()) return nullptr;
    return &worker.slots[static_cast<size_t>(held.slot)];
  };
  const auto is_its = [&](const HeldMember& held, const Slot& slot) {
    return slot_of(held) == &slot && slot.trial == held.trial && slot.rank == held.rank;
  };

  // Members that the state knows and the worker does not. One that was not ready
  // yet never got its Assign, as a process that ends is held until its end has been
  // reported; so it is assigned again. Others are lost.
  std::vector<Member> missing;
  for (Slot& slot : worker.slots) {
    if (slot.state == SlotState::kIdle) continue;
    const auto held =
        std::ranges::find_if(event.held, [&](const HeldMember& h) { return is_its(h, slot); });
    const Trial* starting = slot.state == SlotState::kReserved
                                ? TrialOfMember(turn, ref, slot.trial, slot.rank)
                                : nullptr;
    if (held == event.held.end() && starting != nullptr &&
        !starting->gang[static_cast<size_t>(slot.rank)].ready) {
      SendAssign(turn, *starting, slot.rank);
    } else if (held == event.held.end()) {
      missing.push_back({slot.trial, slot.rank});
      Move(slot, SlotState::kIdle);
      turn.schedule = true;
    } else if (slot.state == SlotState::kDraining && !held->ended && Yields(turn, ref, slot)) {
      continue;  // it ends by itself
    } else if (slot.state == SlotState::kDraining && !held->ended) {
      turn.commands.push_back(AbortMember{ref, slot.trial, slot.rank, "its attempt has ended"});
    } else if (slot.state == SlotState::kBusy && !held->ended) {
      turn.commands.push_back(StartMember{ref, slot.trial, slot.rank,
                                          turn.state.trials.at(slot.trial.trial_id).rendezvous});
    }
  }
  // Members that the worker holds and the state does not.
  for (const HeldMember& held : event.held) {
    Slot* slot = slot_of(held);
    if (held.ended || (slot != nullptr && is_its(held, *slot))) continue;
    turn.commands.push_back(AbortMember{ref, held.trial, held.rank, "its attempt has ended"});
    if (slot != nullptr && slot->state == SlotState::kIdle) {
      Move(*slot, SlotState::kDraining);
      slot->trial = held.trial;
      slot->rank = held.rank;
    }
  }
  LoseMembers(turn, ref, missing,
              "worker " + worker.id + " reconnected without the member that it was given");
}

void BeginIncarnation(Turn& turn, const WorkerRegistered& event) {
  Worker& worker = turn.state.workers[event.worker_id];
  worker = Worker{};
  worker.id = event.worker_id;
  worker.instance_id = event.instance_id;
  worker.incarnation = turn.state.next_incarnation++;
  worker.accelerator = event.accelerator;
  worker.slots.resize(static_cast<size_t>(std::max(event.slots, 0)));
  // After a lost lease the same process comes back with members of attempts that
  // are over; their slots are given out when they have ended.
  Reconnect(turn, worker, event);
  turn.schedule = true;
}

}  // namespace

void Handle(Turn& turn, const WorkerRegistered& event) {
  const auto it = turn.state.workers.find(event.worker_id);
  if (it != turn.state.workers.end() && !it->second.lost) {
    Worker& known = it->second;
    if (known.instance_id == event.instance_id &&
        known.slots.size() == static_cast<size_t>(std::max(event.slots, 0))) {
      Reconnect(turn, known, event);
      return;
    }
    Lose(turn, known, "a newer process has taken its name");
  }
  BeginIncarnation(turn, event);
  ForgetOldestLost(turn.state);
}

void Handle(Turn& turn, const WorkerLost& event) {
  Worker* worker = CurrentWorker(turn, event.worker);
  if (worker == nullptr) return;
  Lose(turn, *worker, event.reason);
  ForgetOldestLost(turn.state);
}

void Handle(Turn& turn, const WorkerDraining& event) {
  Worker* worker = CurrentWorker(turn, event.worker);
  if (worker == nullptr || worker->draining) return;
  worker->draining = true;
  turn.schedule = true;  // what waits for its slots is told how many there are
}

}  // namespace mead::core
