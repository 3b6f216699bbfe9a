// Idle slots for queued trials: first come, first served, all ranks or none.
//
// A trial that could run but finds too few idle slots keeps those that it could
// use from the trials after it; else small trials would starve large ones. One
// that the whole cluster is too small for keeps nothing.
#include <algorithm>
#include <map>

#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"
#include "coordinator/core/words.h"

namespace mead::core {
namespace {

std::vector<SlotRef> IdleSlots(const ClusterState& state) {
  std::vector<SlotRef> idle;
  for (const auto& [id, worker] : state.workers) {
    if (worker.draining) continue;
    for (size_t i = 0; i < worker.slots.size(); ++i) {
      if (worker.slots[i].state == SlotState::kIdle) idle.push_back({id, static_cast<int>(i)});
    }
  }
  return idle;
}

bool Suits(const ClusterState& state, const SlotRef& slot, Accelerator wanted) {
  return wanted == Accelerator::kAny || state.workers.at(slot.worker_id).accelerator == wanted;
}

std::string SlotsNeeded(int ranks, Accelerator accelerator) {
  return Count(
      ranks, accelerator == Accelerator::kAny ? "slot" : Name(accelerator) + std::string(" slot"));
}

// One pass over all queued trials.
class Pass {
 public:
  explicit Pass(Turn& turn) : turn_(turn), idle_(IdleSlots(turn.state)) {
    for (Accelerator kind : {Accelerator::kAny, Accelerator::kCpu, Accelerator::kGpu}) {
      slots_[kind] = SlotsFor(turn.state, kind);
    }
  }

  void Place(const SweepSpec& spec, Trial& trial) {
    if (spec.ranks > slots_[spec.accelerator]) {
      trial.message = "waits for " + SlotsNeeded(spec.ranks, spec.accelerator) +
                      "; the cluster has " + std::to_string(slots_[spec.accelerator]);
      return;
    }
    if (const auto gang = PlaceGang(turn_.state, idle_, spec.ranks, spec.accelerator)) {
      std::erase_if(idle_,
                    [&](const SlotRef& slot) { return std::ranges::count(*gang, slot) > 0; });
      BeginAttempt(turn_, trial, *gang);
      return;
    }
    trial.message = "waits for " + SlotsNeeded(spec.ranks, spec.accelerator);
    if (first_waiting_.empty()) {
      first_waiting_ = trial.id;
      const auto idle = std::ranges::count_if(
          idle_, [&](const SlotRef& slot) { return Suits(turn_.state, slot, spec.accelerator); });
      trial.message +=
          "; " + std::to_string(idle) + " of " + std::to_string(slots_[spec.accelerator]) + " idle";
    } else {
      trial.message += ", behind trial " + first_waiting_;
    }
    std::erase_if(idle_,
                  [&](const SlotRef& slot) { return Suits(turn_.state, slot, spec.accelerator); });
  }

 private:
  Turn& turn_;
  std::vector<SlotRef> idle_;  // and not kept for an earlier trial
  std::map<Accelerator, int> slots_;
  std::string first_waiting_;
};

// Why nothing of a sweep runs; empty while something does.
std::string WhyNothingRuns(const ClusterState& state, const Sweep& sweep) {
  for (int index : sweep.live_trials) {
    const Trial& trial = state.trials.at(sweep.trial_ids[static_cast<size_t>(index)]);
    if (trial.state != TrialState::kQueued) return "";
  }
  if (sweep.live_trials.empty()) return "";
  const std::string& first = sweep.trial_ids[static_cast<size_t>(*sweep.live_trials.begin())];
  return "trial " + first + ": " + state.trials.at(first).message;
}

}  // namespace

void Schedule(Turn& turn) {
  Pass pass(turn);
  for (const std::string& sweep_id : turn.state.sweep_order) {
    Sweep& sweep = turn.state.sweeps.at(sweep_id);
    if (sweep.state != SweepState::kRunning) continue;
    for (int index : sweep.live_trials) {
      Trial& trial = turn.state.trials.at(sweep.trial_ids[static_cast<size_t>(index)]);
      const bool waits_for_time = trial.not_before > turn.now;
      if (trial.state == TrialState::kQueued && !waits_for_time) pass.Place(sweep.spec, trial);
    }
    sweep.message = WhyNothingRuns(turn.state, sweep);
  }
}

}  // namespace mead::core
