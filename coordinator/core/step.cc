#include "coordinator/core/step.h"

#include <algorithm>
#include <utility>

#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"

namespace mead::core {
namespace {

// Acts on every deadline that has passed, and finds the next one. Any event
// carries time, so a late Tick delays nothing.
void PassDeadlines(Turn& turn) {
  ClusterState& state = turn.state;
  if (state.next_deadline == 0 || turn.now < state.next_deadline) return;
  state.next_deadline = 0;
  for (const std::string& sweep_id : state.sweep_order) {
    const Sweep& sweep = state.sweeps.at(sweep_id);
    if (HasEnded(sweep.state)) continue;
    const std::set<int> live = sweep.live_trials;  // a copy: trials end and are made on the way
    for (int index : live) {
      Trial& trial = state.trials.at(sweep.trial_ids[static_cast<size_t>(index)]);
      if (trial.state == TrialState::kStarting) {
        if (trial.start_deadline <= turn.now) {
          PassStartDeadline(turn, trial);
        } else {
          SetDeadline(turn, trial.start_deadline);
        }
      }
      if (trial.yield_deadline != 0) {
        if (trial.yield_deadline <= turn.now) {
          PassYieldDeadline(turn, trial);
        } else {
          SetDeadline(turn, trial.yield_deadline);
        }
      }
      if (trial.state == TrialState::kQueued && trial.not_before != 0) {
        if (trial.not_before <= turn.now) {
          trial.not_before = 0;
          turn.schedule = true;
        } else {
          SetDeadline(turn, trial.not_before);
        }
      }
    }
  }
}

}  // namespace

std::vector<Command> Step(ClusterState& state, const Event& event) {
  // A wall clock may be set back; the state's time never goes back.
  state.last_event_time = std::max(state.last_event_time, event.at);
  Turn turn{state, state.last_event_time, {}, false};
  std::visit([&turn](const auto& body) { Handle(turn, body); }, event.body);
  PassDeadlines(turn);
  if (turn.schedule) Schedule(turn);
  return std::move(turn.commands);
}

std::optional<TimeMicros> NextDeadline(const ClusterState& state) {
  if (state.next_deadline == 0) return std::nullopt;
  return state.next_deadline;
}

void SetDeadline(Turn& turn, TimeMicros deadline) {
  TimeMicros& next = turn.state.next_deadline;
  next = next == 0 ? deadline : std::min(next, deadline);
}

Worker* CurrentWorker(Turn& turn, const WorkerRef& ref) {
  const auto it = turn.state.workers.find(ref.worker_id);
  if (it == turn.state.workers.end()) return nullptr;
  Worker& worker = it->second;
  return worker.lost || worker.incarnation != ref.incarnation ? nullptr : &worker;
}

Trial* CurrentTrial(Turn& turn, const TrialRef& ref) {
  const auto it = turn.state.trials.find(ref.trial_id);
  if (it == turn.state.trials.end()) return nullptr;
  Trial& trial = it->second;
  return trial.attempt != ref.attempt || HasEnded(trial.state) ? nullptr : &trial;
}

Trial* TrialOfMember(Turn& turn, const WorkerRef& worker, const TrialRef& ref, int rank) {
  Trial* trial = CurrentTrial(turn, ref);
  if (trial == nullptr || CurrentWorker(turn, worker) == nullptr) return nullptr;
  if (rank < 0 || static_cast<size_t>(rank) >= trial->gang.size()) return nullptr;
  const GangMember& member = trial->gang[static_cast<size_t>(rank)];
  return member.worker == worker && !member.exited ? trial : nullptr;
}

void Handle(Turn& turn, const Configured& event) { turn.state.config = event.config; }

void Handle(Turn&, const Tick&) {}

void Handle(Turn& turn, const DatasetCreated& event) {
  // A name never changes its pictures; the first one stays.
  turn.state.datasets.try_emplace(
      event.name, Dataset{event.name, event.manifest_digest, event.train_samples, event.encoded});
}

void Handle(Turn& turn, const DatasetDeleted& event) {
  // Unfinished sweeps keep theirs: a submission may have come in between the
  // shell's check and this event.
  for (const auto& [id, sweep] : turn.state.sweeps) {
    if (sweep.spec.dataset == event.name && !HasEnded(sweep.state)) return;
  }
  turn.state.datasets.erase(event.name);
}

}  // namespace mead::core
