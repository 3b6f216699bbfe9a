// Epochs, predictions, and which trial is the best.
#include <algorithm>
#include <cmath>

#include "coordinator/core/folds.h"
#include "coordinator/core/turn.h"

namespace mead::core {
namespace {

// Ties go to the earlier epoch.
void FindBestEpoch(Goal goal, Trial& trial) {
  trial.has_best = false;
  trial.best_value = 0;
  trial.best_epoch = 0;
  for (const auto& [epoch, value] : trial.objectives) {
    if (trial.has_best && !IsBetter(goal, value, trial.best_value)) continue;
    trial.has_best = true;
    trial.best_value = value;
    trial.best_epoch = epoch;
  }
  // The report of an epoch and its predictions may come in either order.
  if (trial.latest_predictions.epoch == trial.best_epoch) {
    trial.best_predictions = trial.latest_predictions;
  }
}

// Ties go to the earlier trial.
bool IsBetter(Goal goal, const Trial& trial, const Trial& than) {
  if (IsBetter(goal, trial.best_value, than.best_value)) return true;
  return trial.best_value == than.best_value && trial.index < than.index;
}

void ConsiderForBest(const ClusterState& state, Sweep& sweep, const Trial& trial) {
  if (!trial.has_best) return;
  if (sweep.best_trial_id.empty() ||
      IsBetter(sweep.spec.goal, trial, state.trials.at(sweep.best_trial_id))) {
    sweep.best_trial_id = trial.id;
  }
}

void FindBestTrial(const ClusterState& state, Sweep& sweep) {
  sweep.best_trial_id.clear();
  for (const std::string& id : sweep.trial_ids) ConsiderForBest(state, sweep, state.trials.at(id));
}

void UpdateBest(Turn& turn, Trial& trial) {
  Sweep& sweep = turn.state.sweeps.at(trial.sweep_id);
  const double before = trial.best_value;
  FindBestEpoch(sweep.spec.goal, trial);
  RetainCheckpoints(sweep.spec, trial);
  if (FoldsOf(sweep.spec) > 1) return;  // only whole configurations are compared, when they end
  const bool worse = !trial.has_best || IsBetter(sweep.spec.goal, before, trial.best_value);
  if (sweep.best_trial_id == trial.id && worse) {
    FindBestTrial(turn.state, sweep);  // another may have overtaken it
  } else {
    ConsiderForBest(turn.state, sweep, trial);
  }
}

}  // namespace

Trial* ReportedBy(Turn& turn, const WorkerRef& worker, const TrialRef& ref) {
  return TrialOfMember(turn, worker, ref, 0);
}

void RollBackToCheckpoint(Turn& turn, Trial& trial) {
  trial.epochs_done = trial.latest.epoch;
  trial.objectives.erase(trial.objectives.upper_bound(trial.latest.epoch), trial.objectives.end());
  for (Predictions* of : {&trial.latest_predictions, &trial.best_predictions}) {
    if (of->epoch > trial.latest.epoch) *of = {};
  }
  UpdateBest(turn, trial);
}

void Handle(Turn& turn, const EpochReported& event) {
  Trial* trial = ReportedBy(turn, event.worker, event.trial);
  if (trial == nullptr || event.epoch <= 0) return;
  trial->epochs_done = std::max(trial->epochs_done, event.epoch);
  trial->failures_in_a_row = 0;
  if (!std::isfinite(event.objective)) return;  // a diverged epoch is never the best
  trial->objectives[event.epoch] = event.objective;
  UpdateBest(turn, *trial);
}

void Handle(Turn& turn, const PredictionsSaved& event) {
  Trial* trial = ReportedBy(turn, event.worker, event.trial);
  if (trial == nullptr || event.epoch <= 0 || event.epoch < trial->latest_predictions.epoch) return;
  trial->latest_predictions = {event.epoch, event.digest, event.size_bytes};
  if (event.epoch == trial->best_epoch) trial->best_predictions = trial->latest_predictions;
}

}  // namespace mead::core
