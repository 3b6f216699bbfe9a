// Sweeps: made, filled with trials, stopped, ended.
#include "coordinator/core/folds.h"
#include "coordinator/core/search.h"
#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"
#include "coordinator/core/words.h"

namespace mead::core {
namespace {

// Why the sweep cannot make a single trial; empty if it can.
std::string WhyImpossible(const ClusterState& state, const Sweep& sweep) {
  if (!state.datasets.contains(sweep.spec.dataset)) {
    return "there is no data set \"" + sweep.spec.dataset + "\"";
  }
  if (sweep.total_trials == 0) {
    return "the search has no trial to make: a grid needs a step or a choice in every dimension";
  }
  return "";
}

std::string Summary(const ClusterState& state, const Sweep& sweep) {
  int succeeded = 0;
  for (const std::string& id : sweep.trial_ids) {
    succeeded += state.trials.at(id).state == TrialState::kSucceeded;
  }
  std::string text =
      std::to_string(succeeded) + " of " + Count(sweep.total_trials, "trial") + " succeeded";
  if (sweep.best_trial_id.empty()) return text;
  const Trial& best = state.trials.at(sweep.best_trial_id);
  if (const int folds = FoldsOf(sweep.spec); folds > 1) {
    const int configuration = PlaceOf(sweep.spec, best.index).configuration;
    const ConfigurationScore score = ScoreOf(state, sweep, configuration);
    text += "; best: configuration " + std::to_string(configuration) + " with " +
            sweep.spec.objective_metric + " " + Number(score.mean) + " +- " +
            Number(score.standard_deviation) + " over " + Count(folds, "fold");
  } else {
    text += "; best: trial " + sweep.best_trial_id + " with " + sweep.spec.objective_metric + " " +
            Number(best.best_value);
  }
  return text;
}

void EndSweepIfDone(Turn& turn, Sweep& sweep) {
  if (HasEnded(sweep.state) || !sweep.live_trials.empty()) return;
  const bool all_made = static_cast<int>(sweep.trial_ids.size()) == sweep.total_trials;
  if (sweep.state == SweepState::kRunning && !all_made) return;
  if (sweep.state == SweepState::kStopping) {
    Move(sweep, SweepState::kStopped);
  } else {
    Move(sweep, HasSuccess(turn.state, sweep) ? SweepState::kSucceeded : SweepState::kFailed);
  }
  sweep.end_time = turn.now;
  sweep.message = Summary(turn.state, sweep);
  if (sweep.state == SweepState::kStopped) sweep.message = "stopped on request; " + sweep.message;
}

}  // namespace

void ProposeTrials(Turn& turn, Sweep& sweep) {
  const int parallel = sweep.spec.parallel > 0 ? sweep.spec.parallel : sweep.total_trials;
  while (sweep.state == SweepState::kRunning &&
         static_cast<int>(sweep.trial_ids.size()) < sweep.total_trials &&
         static_cast<int>(sweep.live_trials.size()) < parallel) {
    Trial trial;
    trial.index = static_cast<int>(sweep.trial_ids.size());
    trial.id = TrialId(sweep, trial.index);
    trial.sweep_id = sweep.id;
    trial.params =
        std::move(Propose(sweep.spec, PlaceOf(sweep.spec, trial.index).configuration, 1).front());
    sweep.trial_ids.push_back(trial.id);
    sweep.live_trials.insert(trial.index);
    turn.state.trials.emplace(trial.id, trial);
    turn.schedule = true;
  }
}

void CloseTrial(Turn& turn, Trial& trial) {
  trial.end_time = turn.now;
  trial.not_before = 0;
  turn.schedule = true;  // slots that were kept for it are others' now
  Sweep& sweep = turn.state.sweeps.at(trial.sweep_id);
  sweep.live_trials.erase(trial.index);
  ConsiderConfiguration(turn.state, sweep, trial);
  ProposeTrials(turn, sweep);
  EndSweepIfDone(turn, sweep);
}

void Handle(Turn& turn, const SweepSubmitted& event) {
  ClusterState& state = turn.state;
  if (state.requests.contains(event.request_id) || state.sweeps.contains(event.sweep_id)) return;
  if (!event.request_id.empty()) state.requests.emplace(event.request_id, event.sweep_id);

  Sweep& sweep = state.sweeps[event.sweep_id];
  sweep.id = event.sweep_id;
  sweep.request_id = event.request_id;
  sweep.spec = event.spec;
  sweep.create_time = turn.now;
  sweep.total_trials = TotalConfigurations(event.spec) * FoldsOf(event.spec);
  state.sweep_order.push_back(sweep.id);

  if (const std::string reason = WhyImpossible(state, sweep); !reason.empty()) {
    Move(sweep, SweepState::kFailed);
    sweep.end_time = turn.now;
    sweep.message = reason;
    return;
  }
  ProposeTrials(turn, sweep);
}

void Handle(Turn& turn, const SweepStopRequested& event) {
  const auto it = turn.state.sweeps.find(event.sweep_id);
  if (it == turn.state.sweeps.end() || it->second.state != SweepState::kRunning) return;
  Sweep& sweep = it->second;
  Move(sweep, SweepState::kStopping);
  sweep.message = "stops on request";
  const std::set<int> live = sweep.live_trials;  // a copy: trials that wait end at once
  for (int index : live) {
    StopTrial(turn, turn.state.trials.at(sweep.trial_ids[static_cast<size_t>(index)]),
              "the sweep is stopped on request");
  }
}

}  // namespace mead::core
