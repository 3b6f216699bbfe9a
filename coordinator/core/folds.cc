#include "coordinator/core/folds.h"

#include <algorithm>
#include <cmath>

#include "coordinator/core/transitions.h"

namespace mead::core {

int FoldsOf(const SweepSpec& spec) {
  return std::max(1, static_cast<int>(spec.fold_train_samples.size()));
}

FoldPlace PlaceOf(const SweepSpec& spec, int trial_index) {
  return {trial_index / FoldsOf(spec), trial_index % FoldsOf(spec)};
}

std::string TrialId(const Sweep& sweep, int trial_index) {
  const FoldPlace place = PlaceOf(sweep.spec, trial_index);
  std::string id = sweep.id + "-" + std::to_string(place.configuration);
  if (FoldsOf(sweep.spec) > 1) id += "." + std::to_string(place.fold + 1);
  return id;
}

std::vector<const Trial*> FoldsMade(const ClusterState& state, const Sweep& sweep,
                                    int configuration) {
  std::vector<const Trial*> made;
  const auto folds = static_cast<size_t>(FoldsOf(sweep.spec));
  const size_t begin = static_cast<size_t>(configuration) * folds;
  for (size_t i = begin; i < std::min(begin + folds, sweep.trial_ids.size()); ++i) {
    made.push_back(&state.trials.at(sweep.trial_ids[i]));
  }
  return made;
}

ConfigurationScore ScoreOf(const ClusterState& state, const Sweep& sweep, int configuration) {
  ConfigurationScore score;
  std::vector<double> values;
  for (const Trial* trial : FoldsMade(state, sweep, configuration)) {
    const bool well = trial->state == TrialState::kSucceeded;
    if (well && trial->has_best) values.push_back(trial->best_value);
    score.failed += HasEnded(trial->state) && !well;
  }
  score.succeeded = static_cast<int>(values.size());
  if (values.empty()) return score;
  // By fold, so that the sum is the same whichever ended first.
  for (const double value : values) score.mean += value;
  score.mean /= static_cast<double>(values.size());
  if (values.size() < 2) return score;
  double squares = 0;
  for (const double value : values) squares += (value - score.mean) * (value - score.mean);
  score.standard_deviation = std::sqrt(squares / static_cast<double>(values.size() - 1));
  return score;
}

std::optional<double> ValueOf(const ClusterState& state, const Sweep& sweep, int configuration) {
  const ConfigurationScore score = ScoreOf(state, sweep, configuration);
  if (score.succeeded < FoldsOf(sweep.spec)) return std::nullopt;
  return score.mean;
}

void ConsiderConfiguration(const ClusterState& state, Sweep& sweep, const Trial& trial) {
  if (FoldsOf(sweep.spec) == 1) return;
  const int configuration = PlaceOf(sweep.spec, trial.index).configuration;
  const std::optional<double> value = ValueOf(state, sweep, configuration);
  if (!value) return;
  if (!sweep.best_trial_id.empty()) {
    const int best = PlaceOf(sweep.spec, state.trials.at(sweep.best_trial_id).index).configuration;
    const double than = *ValueOf(state, sweep, best);
    const bool earlier_tie = *value == than && configuration < best;
    if (!IsBetter(sweep.spec.goal, *value, than) && !earlier_tie) return;
  }
  const Trial* best = nullptr;
  for (const Trial* fold : FoldsMade(state, sweep, configuration)) {
    if (best == nullptr || IsBetter(sweep.spec.goal, fold->best_value, best->best_value)) {
      best = fold;
    }
  }
  sweep.best_trial_id = best->id;
}

bool HasSuccess(const ClusterState& state, const Sweep& sweep) {
  const int folds = FoldsOf(sweep.spec);
  int succeeded = 0;  // of the configuration that the walk is in
  for (size_t i = 0; i < sweep.trial_ids.size(); ++i) {
    if (i % static_cast<size_t>(folds) == 0) succeeded = 0;
    succeeded += state.trials.at(sweep.trial_ids[i]).state == TrialState::kSucceeded;
    if (succeeded == folds) return true;
  }
  return false;
}

}  // namespace mead::core
