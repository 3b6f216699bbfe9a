#include "coordinator/service/configuration_view.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "coordinator/core/folds.h"
#include "coordinator/core/transitions.h"
#include "coordinator/service/convert.h"

namespace mead::service {
namespace {

std::optional<int> BestConfiguration(const core::ClusterState& state, const core::Sweep& sweep) {
  const auto best = state.trials.find(sweep.best_trial_id);
  if (best == state.trials.end()) return std::nullopt;
  return core::PlaceOf(sweep.spec, best->second.index).configuration;
}

// What the folds' states are together.
class StateOfAll {
 public:
  void Add(const core::Trial& trial) {
    ++folds_;
    succeeded_ += trial.state == core::TrialState::kSucceeded;
    failed_ |= trial.state == core::TrialState::kFailed;
    stopped_ |= trial.state == core::TrialState::kStopped;
    begun_ |= trial.state != core::TrialState::kQueued;
  }
  v1::TrialState Get(int folds) const {
    if (failed_) return v1::TRIAL_STATE_FAILED;
    if (stopped_) return v1::TRIAL_STATE_STOPPED;
    if (folds_ == folds && succeeded_ == folds) return v1::TRIAL_STATE_SUCCEEDED;
    return begun_ ? v1::TRIAL_STATE_RUNNING : v1::TRIAL_STATE_QUEUED;
  }

 private:
  int folds_ = 0;
  int succeeded_ = 0;
  bool failed_ = false;
  bool stopped_ = false;
  bool begun_ = false;
};

}  // namespace

void AddConfigurations(const core::ClusterState& state, const core::Sweep& sweep,
                       google::protobuf::RepeatedPtrField<v1::Configuration>* out) {
  const int folds = core::FoldsOf(sweep.spec);
  if (folds == 1) return;
  const std::optional<int> best = BestConfiguration(state, sweep);
  const auto folds_made = static_cast<int>(sweep.trial_ids.size());
  for (int begin = 0; begin < folds_made; begin += folds) {
    v1::Configuration& view = *out->Add();
    view.set_index(begin / folds);
    StateOfAll together;
    for (int i = begin; i < std::min(begin + folds, folds_made); ++i) {
      const core::Trial& trial = state.trials.at(sweep.trial_ids[static_cast<size_t>(i)]);
      together.Add(trial);
      view.add_trial_ids(trial.id);
      if (i > begin) continue;
      for (const core::Param& param : trial.params) {
        v1::Param& shown = *view.add_params();
        shown.set_path(param.path);
        *shown.mutable_value() = ToProto(param.value);
      }
    }
    view.set_state(together.Get(folds));
    const core::ConfigurationScore score = core::ScoreOf(state, sweep, view.index());
    view.set_folds_succeeded(score.succeeded);
    if (score.succeeded > 0) view.set_mean(score.mean);
    if (score.succeeded > 1) {
      view.set_standard_deviation(score.standard_deviation);
      view.set_standard_error(score.standard_deviation / std::sqrt(score.succeeded));
    }
    view.set_best(best == view.index());
  }
}

void SetBestConfiguration(const core::ClusterState& state, const core::Sweep& sweep,
                          v1::Sweep& view) {
  if (core::FoldsOf(sweep.spec) == 1) return;
  const std::optional<int> best = BestConfiguration(state, sweep);
  if (!best) return;
  const core::ConfigurationScore score = core::ScoreOf(state, sweep, *best);
  view.set_best_configuration(*best);
  view.set_best_value(score.mean);
  view.set_best_standard_deviation(score.standard_deviation);
}

}  // namespace mead::service
