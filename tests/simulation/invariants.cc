#include "tests/simulation/invariants.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coordinator/core/debug_string.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/transitions.h"

namespace mead::core {
namespace {

const Worker* Living(const ClusterState& state, const WorkerRef& ref) {
  const auto it = state.workers.find(ref.worker_id);
  if (it == state.workers.end() || it->second.lost) return nullptr;
  return it->second.incarnation == ref.incarnation ? &it->second : nullptr;
}

SlotState SlotStateIn(TrialState state) {
  if (state == TrialState::kStarting) return SlotState::kReserved;
  return state == TrialState::kRunning ? SlotState::kBusy : SlotState::kDraining;
}

// All ranks or none, each on a slot of its own, of one accelerator.
std::string CheckGang(const ClusterState& state, const Trial& trial) {
  const SweepSpec& spec = state.sweeps.at(trial.sweep_id).spec;
  const bool holds = trial.state == TrialState::kStarting || trial.state == TrialState::kRunning ||
                     trial.state == TrialState::kStopping;
  if (!holds) return trial.gang.empty() ? "" : "a trial that does not run holds a gang";
  if (trial.gang.size() != static_cast<size_t>(spec.ranks)) return "a gang is not complete";
  std::set<Accelerator> kinds;
  for (size_t rank = 0; rank < trial.gang.size(); ++rank) {
    const GangMember& member = trial.gang[rank];
    if (member.exited) {
      if (trial.state == TrialState::kStarting) return "a starting gang has lost a rank";
      continue;
    }
    const Worker* worker = Living(state, member.worker);
    if (worker == nullptr) return "a member is on a worker that is lost";
    kinds.insert(worker->accelerator);
    const Slot& slot = worker->slots.at(static_cast<size_t>(member.slot));
    if (slot.trial != TrialRef{trial.id, trial.attempt} || slot.rank != static_cast<int>(rank)) {
      return "a member's slot belongs to another";
    }
    if (slot.state != SlotStateIn(trial.state)) return "a member's slot is in the wrong state";
  }
  if (kinds.size() > 1) return "a gang mixes accelerators";
  if (spec.accelerator != Accelerator::kAny &&
      kinds.contains(spec.accelerator == Accelerator::kCpu ? Accelerator::kGpu
                                                           : Accelerator::kCpu)) {
    return "a gang has the wrong accelerator";
  }
  return "";
}

std::string CheckTrial(const ClusterState& state, const Trial& trial) {
  if (std::string broken = CheckGang(state, trial); !broken.empty()) return broken;
  const SweepSpec& spec = state.sweeps.at(trial.sweep_id).spec;
  const auto within = [](int spent, int budget) {
    return budget == RetryBudget::kUnlimited || spent <= budget;
  };
  if (!within(trial.user_error_retries, spec.retry.user_error) ||
      !within(trial.out_of_memory_retries, spec.retry.out_of_memory) ||
      !within(trial.infrastructure_retries, spec.retry.infrastructure)) {
    return "more restarts than the budget allows";
  }
  if (trial.attempt > 1 + trial.user_error_retries + trial.out_of_memory_retries +
                          trial.infrastructure_retries + trial.preemptions) {
    return "an attempt that no budget paid for";
  }
  if (trial.has_best != !trial.objectives.empty()) return "has_best is wrong";
  for (const auto& [epoch, value] : trial.objectives) {
    if (spec.goal == Goal::kMaximize ? value > trial.best_value : value < trial.best_value) {
      return "best_value is not the best";
    }
  }
  if (trial.has_best && trial.objectives.at(trial.best_epoch) != trial.best_value) {
    return "best_epoch is not the best value's";
  }
  if (HasEnded(trial.state) != (trial.end_time != 0)) return "end_time is wrong";
  const auto due = [&](TimeMicros deadline) {
    return deadline == 0 || (state.next_deadline != 0 && state.next_deadline <= deadline);
  };
  if (trial.yield_deadline != 0 && trial.state != TrialState::kStopping) {
    return "only a stopping trial has a yield deadline";
  }
  if (!due(trial.start_deadline) || !due(trial.not_before) || !due(trial.yield_deadline))
    return "next_deadline is too late";
  if ((trial.start_deadline != 0) != (trial.state == TrialState::kStarting)) {
    return "only a starting trial has a start deadline";
  }
  return "";
}

// What stands for a trial, or for the folds of one configuration, in the choice of the best.
struct Candidate {
  double value = 0;
  std::string best_trial;
};

bool Better(const Sweep& sweep, double value, double than) {
  return sweep.spec.goal == Goal::kMaximize ? value > than : value < than;
}

// In the order of the configurations.
std::vector<Candidate> Candidates(const ClusterState& state, const Sweep& sweep) {
  std::vector<Candidate> candidates;
  const size_t folds = std::max<size_t>(1, sweep.spec.fold_train_samples.size());
  for (size_t begin = 0; begin + folds <= sweep.trial_ids.size(); begin += folds) {
    Candidate candidate;
    bool counts = true;
    const Trial* best = nullptr;
    for (size_t i = begin; i < begin + folds; ++i) {
      const Trial& trial = state.trials.at(sweep.trial_ids[i]);
      counts &= trial.has_best && (folds == 1 || trial.state == TrialState::kSucceeded);
      candidate.value += trial.best_value;
      if (best == nullptr || Better(sweep, trial.best_value, best->best_value)) best = &trial;
    }
    candidate.value /= static_cast<double>(folds);
    candidate.best_trial = best->id;
    if (counts) candidates.push_back(candidate);
  }
  return candidates;
}

// Whether a trial, or all folds of a configuration, have succeeded.
bool HasAWholeConfiguration(const ClusterState& state, const Sweep& sweep) {
  const size_t folds = std::max<size_t>(1, sweep.spec.fold_train_samples.size());
  std::map<size_t, size_t> succeeded;  // by configuration
  for (size_t i = 0; i < sweep.trial_ids.size(); ++i) {
    succeeded[i / folds] += state.trials.at(sweep.trial_ids[i]).state == TrialState::kSucceeded;
  }
  return std::ranges::any_of(succeeded, [&](const auto& one) { return one.second == folds; });
}

std::string CheckSweep(const ClusterState& state, const Sweep& sweep) {
  std::set<int> live;
  for (const std::string& id : sweep.trial_ids) {
    const Trial& trial = state.trials.at(id);
    if (!HasEnded(trial.state)) live.insert(trial.index);
  }
  const std::vector<Candidate> candidates = Candidates(state, sweep);
  Candidate best;
  for (const Candidate& candidate : candidates) {
    if (best.best_trial.empty() || Better(sweep, candidate.value, best.value)) best = candidate;
  }
  if (live != sweep.live_trials) return "live_trials is wrong";
  if (sweep.spec.parallel > 0 && static_cast<int>(live.size()) > sweep.spec.parallel) {
    return "more trials at once than allowed";
  }
  if (static_cast<int>(sweep.trial_ids.size()) > sweep.total_trials) return "too many trials";
  if (HasEnded(sweep.state) == !live.empty()) return "a sweep has ended before its trials";
  if (sweep.best_trial_id != best.best_trial) return "best_trial_id is wrong";
  if (sweep.state != SweepState::kSucceeded && sweep.state != SweepState::kFailed) return "";
  if ((sweep.state == SweepState::kSucceeded) != HasAWholeConfiguration(state, sweep)) {
    return "a sweep succeeds when a trial, or all folds of a configuration, have, and only then";
  }
  return "";
}

// Every slot that is in use is in use by somebody.
std::string CheckWorker(const ClusterState& state, const Worker& worker) {
  for (size_t i = 0; i < worker.slots.size(); ++i) {
    const Slot& slot = worker.slots[i];
    if (worker.lost != (slot.state == SlotState::kLost)) return "a lost worker's slot lives";
    const bool free = slot.state == SlotState::kIdle || slot.state == SlotState::kLost;
    if (free != (slot.trial == TrialRef{})) return "a slot's trial does not suit its state";
    if (slot.state != SlotState::kReserved && slot.state != SlotState::kBusy) continue;
    const Trial& trial = state.trials.at(slot.trial.trial_id);
    if (trial.attempt != slot.trial.attempt ||
        static_cast<size_t>(slot.rank) >= trial.gang.size()) {
      return "a slot works for an attempt that is over";
    }
    const GangMember& member = trial.gang[static_cast<size_t>(slot.rank)];
    if (member.exited || member.worker != WorkerRef{worker.id, worker.incarnation} ||
        member.slot != static_cast<int>(i)) {
      return "a slot works for a gang that does not know it";
    }
  }
  return "";
}

// The first trial that waits for slots alone must not fit into the idle ones.
std::string CheckNothingWaitsInVain(const ClusterState& state) {
  std::vector<SlotRef> idle;
  for (const auto& [id, worker] : state.workers) {
    if (worker.draining) continue;
    for (size_t i = 0; i < worker.slots.size(); ++i) {
      if (worker.slots[i].state == SlotState::kIdle) idle.push_back({id, static_cast<int>(i)});
    }
  }
  for (const std::string& sweep_id : state.sweep_order) {
    const Sweep& sweep = state.sweeps.at(sweep_id);
    if (sweep.state != SweepState::kRunning) continue;
    for (int index : sweep.live_trials) {
      const Trial& trial = state.trials.at(sweep.trial_ids[static_cast<size_t>(index)]);
      if (trial.state != TrialState::kQueued || trial.not_before > state.last_event_time) continue;
      if (trial.message.empty()) return "trial " + trial.id + " does not say why it waits";
      if (PlaceGang(state, idle, sweep.spec.ranks, sweep.spec.accelerator)) {
        return "trial " + trial.id + " waits although its slots are idle";
      }
      if (SlotsFor(state, sweep.spec.accelerator) >= sweep.spec.ranks) return "";
    }
  }
  return "";
}

// A trial does not go on while a process of the attempt that it ended lives.
std::string CheckAttemptsDoNotOverlap(const ClusterState& before, const ClusterState& after) {
  for (const auto& [id, trial] : before.trials) {
    const Trial& then = after.trials.at(id);
    if (then.attempt == trial.attempt && !then.gang.empty()) continue;
    for (const GangMember& member : trial.gang) {
      const Worker* worker = Living(after, member.worker);
      if (member.exited || worker == nullptr) continue;
      if (worker->slots.at(static_cast<size_t>(member.slot)).trial == TrialRef{id, trial.attempt}) {
        return id + ": goes on while a rank of its last attempt lives";
      }
    }
  }
  return "";
}

const WorkerRef& WorkerOf(const Command& command) {
  return std::visit([](const auto& c) -> const WorkerRef& { return c.worker; }, command);
}

}  // namespace

std::string BrokenInvariant(const ClusterState& state) {
  for (const auto& [id, worker] : state.workers) {
    if (auto broken = CheckWorker(state, worker); !broken.empty()) return id + ": " + broken;
  }
  for (const auto& [id, trial] : state.trials) {
    if (auto broken = CheckTrial(state, trial); !broken.empty()) return id + ": " + broken;
  }
  for (const auto& [id, sweep] : state.sweeps) {
    if (auto broken = CheckSweep(state, sweep); !broken.empty()) return id + ": " + broken;
  }
  return CheckNothingWaitsInVain(state);
}

std::string BrokenStep(const ClusterState& before, const ClusterState& after,
                       const std::vector<Command>& commands) {
  for (const auto& [id, trial] : before.trials) {
    if (HasEnded(trial.state) && !(after.trials.at(id) == trial)) {
      return id + ": a trial has changed after its end";
    }
    if (after.trials.at(id).attempt < trial.attempt) return id + ": attempts go back";
  }
  for (const auto& [id, sweep] : before.sweeps) {
    if (HasEnded(sweep.state) && !(after.sweeps.at(id) == sweep)) {
      return id + ": a sweep has changed after its end";
    }
  }
  if (auto broken = CheckAttemptsDoNotOverlap(before, after); !broken.empty()) return broken;
  std::map<std::pair<std::string, int>, int> assigned;
  for (const Command& command : commands) {
    const bool fence = std::holds_alternative<FenceWorker>(command);
    if (fence == (Living(after, WorkerOf(command)) != nullptr)) {
      return "a command to the wrong incarnation: " + DebugString(command);
    }
    if (const auto* assign = std::get_if<AssignMember>(&command)) {
      const Trial& trial = after.trials.at(assign->trial.trial_id);
      if (trial.epochs_done != assign->resume_epoch ||
          (trial.has_best && trial.objectives.rbegin()->first > assign->resume_epoch)) {
        return "an attempt begins with epochs that it has yet to train";
      }
      // A repeated one belongs to an attempt that is not new.
      if (before.trials.contains(trial.id) && before.trials.at(trial.id).attempt == trial.attempt) {
        continue;
      }
      ++assigned[{trial.id, trial.attempt}];
    }
  }
  for (const auto& [trial, count] : assigned) {
    const Trial& assignee = after.trials.at(trial.first);
    if (count != after.sweeps.at(assignee.sweep_id).spec.ranks) return "a gang in parts";
  }
  return "";
}

}  // namespace mead::core
