#include "coordinator/service/confusion_view.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status_util.h"
#include "coordinator/core/folds.h"

namespace mead::service {
namespace {

// Of `epoch`, 0 meaning the trial's best one; nothing if that has not been reported.
absl::StatusOr<std::optional<store::ConfusionRow>> Find(store::Store& store,
                                                        const core::Trial& trial, int epoch) {
  MEAD_ASSIGN_OR_RETURN(const std::vector<int> epochs, store.ConfusionEpochs(trial.id));
  const int wanted = epoch > 0 ? epoch : trial.best_epoch;
  if (std::find(epochs.begin(), epochs.end(), wanted) == epochs.end()) return std::nullopt;
  return store.Confusion(trial.id, wanted);
}

// Why there is none.
absl::Status NotReported(store::Store& store, const core::Trial& trial, int epoch) {
  MEAD_ASSIGN_OR_RETURN(const std::vector<int> epochs, store.ConfusionEpochs(trial.id));
  return absl::OutOfRangeError(
      epochs.empty()
          ? absl::StrCat("trial ", trial.id,
                         " has no confusion matrix yet: it comes with its first epoch's report")
          : absl::StrCat("trial ", trial.id, " has no confusion matrix of epoch ",
                         epoch > 0 ? epoch : trial.best_epoch, "; there are epochs ",
                         absl::StrJoin(epochs, ", ")));
}

// Into an empty sum, or one of the same classes.
absl::Status Add(const store::ConfusionRow& row, v1::ConfusionMatrix& sum) {
  if (sum.counts().empty()) {
    sum.mutable_classes()->Add(row.classes.begin(), row.classes.end());
    sum.mutable_counts()->Add(row.counts.begin(), row.counts.end());
    return absl::OkStatus();
  }
  if (!std::equal(row.classes.begin(), row.classes.end(), sum.classes().begin(),
                  sum.classes().end()) ||
      row.counts.size() != static_cast<size_t>(sum.counts_size())) {
    return absl::InternalError(
        absl::StrCat("the confusion matrix of trial ", row.trial_id, ", epoch ", row.epoch,
                     " is of other classes than those of the folds before it"));
  }
  for (size_t i = 0; i < row.counts.size(); ++i) {
    const int index = static_cast<int>(i);
    sum.set_counts(index, sum.counts(index) + row.counts[i]);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::GetConfusionResponse> ConfusionOf(store::Store& store, const core::Trial& trial,
                                                     int epoch) {
  MEAD_ASSIGN_OR_RETURN(const std::optional<store::ConfusionRow> row, Find(store, trial, epoch));
  if (!row) return NotReported(store, trial, epoch);
  v1::GetConfusionResponse response;
  response.set_trial_id(trial.id);
  response.set_epoch(row->epoch);
  MEAD_RETURN_IF_ERROR(Add(*row, *response.mutable_confusion()));
  MEAD_ASSIGN_OR_RETURN(const std::vector<store::MetricRow> metrics, store.Metrics(trial.id, {}));
  for (const store::MetricRow& metric : metrics) {
    if (metric.epoch == row->epoch) (*response.mutable_metrics())[metric.name] = metric.value;
  }
  return response;
}

absl::StatusOr<v1::GetConfusionResponse> PooledConfusionOf(store::Store& store,
                                                           const core::ClusterState& state,
                                                           const core::Trial& trial, int epoch) {
  const core::Sweep& sweep = state.sweeps.at(trial.sweep_id);
  const int folds = core::FoldsOf(sweep.spec);
  if (folds == 1) {
    return absl::FailedPreconditionError(absl::StrCat(
        "sweep ", sweep.id,
        " has no folds to pool; ask for the trial's own matrix, or submit a sweep with "
        "search.folds"));
  }
  v1::GetConfusionResponse response;
  response.set_trial_id(trial.id);
  const int configuration = core::PlaceOf(sweep.spec, trial.index).configuration;
  response.mutable_pooled()->set_sweep_id(sweep.id);
  response.mutable_pooled()->set_configuration(configuration);
  response.mutable_pooled()->set_folds(folds);
  for (const core::Trial* fold : core::FoldsMade(state, sweep, configuration)) {
    MEAD_ASSIGN_OR_RETURN(const std::optional<store::ConfusionRow> row, Find(store, *fold, epoch));
    if (!row) continue;
    MEAD_RETURN_IF_ERROR(Add(*row, *response.mutable_confusion()));
    v1::PooledConfusion::Source& source = *response.mutable_pooled()->add_sources();
    source.set_trial_id(fold->id);
    source.set_epoch(row->epoch);
  }
  if (response.pooled().sources().empty()) {
    return absl::OutOfRangeError(
        absl::StrCat("no fold of configuration ", configuration, " of sweep ", sweep.id,
                     " has a confusion matrix",
                     epoch > 0 ? absl::StrCat(" of epoch ", epoch)
                               : std::string(" yet: it comes with the first epoch's report")));
  }
  return response;
}

}  // namespace mead::service
