#include "coordinator/service/views.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/core/folds.h"
#include "coordinator/service/configuration_view.h"
#include "coordinator/service/convert.h"

namespace mead::service {
namespace {

// From the reports of this process's life, or else from the store.
MetricMap LastMetrics(ServiceContext& context, const core::Trial& trial) {
  if (trial.epochs_done == 0) return {};
  if (std::optional<MetricMap> known = context.live.GetLastMetrics(trial.id)) return *known;
  MetricMap metrics;
  const auto rows = context.store.Metrics(trial.id, {});
  if (!rows.ok()) return metrics;
  for (const store::MetricRow& row : *rows) {
    if (row.epoch == trial.epochs_done) metrics[row.name] = row.value;
  }
  context.live.RememberLastMetrics(trial.id, metrics);
  return metrics;
}

// core::Checkpoint as v1::Checkpoint, and core::Predictions as v1::Predictions.
template <class Core, class View>
void SetArtifact(ServiceContext& context, const Core& artifact, View* out) {
  out->set_epoch(artifact.epoch);
  out->set_digest(artifact.digest);
  out->set_size_bytes(artifact.size_bytes);
  if (const auto path = context.artifacts.PathOf(artifact.digest); path.ok()) {
    out->set_path(path->string());
  }
}

// Trials that the search has yet to make wait as well.
int Unmade(const core::Sweep& sweep) {
  if (HasEnded(sweep.state) || sweep.state == core::SweepState::kStopping) return 0;
  return std::max(0, sweep.total_trials - static_cast<int>(sweep.trial_ids.size()));
}

}  // namespace

double FractionDone(int epochs_done, int epochs_total, const v1::Progress* progress) {
  if (epochs_total <= 0) return 0;
  double epochs = epochs_done;
  // The figures may be of an epoch that has been reported since.
  if (progress != nullptr && progress->epoch() == epochs_done + 1 &&
      progress->steps_per_epoch() > 0) {
    epochs += std::min(1.0, static_cast<double>(progress->step()) /
                                static_cast<double>(progress->steps_per_epoch()));
  }
  return std::clamp(epochs / epochs_total, 0.0, 1.0);
}

absl::Duration TimeLeft(double fraction_done, int epochs_total, uint64_t train_samples,
                        const v1::Progress& progress) {
  if (!(progress.images_per_second() > 0)) return absl::InfiniteDuration();
  const double images = (1 - fraction_done) * epochs_total * static_cast<double>(train_samples);
  return absl::Seconds(images / progress.images_per_second());
}

v1::Sweep SweepView(const core::ClusterState& state, const core::Sweep& sweep) {
  v1::Sweep view;
  view.set_id(sweep.id);
  // Unreadable is impossible: it was serialised here. Then the name is enough.
  if (!view.mutable_spec()->ParseFromString(sweep.spec.encoded)) {
    view.mutable_spec()->set_name(sweep.spec.name);
  }
  view.set_state(ToProto(sweep.state));
  *view.mutable_create_time() = ToTimestamp(sweep.create_time);
  if (sweep.end_time > 0) *view.mutable_end_time() = ToTimestamp(sweep.end_time);
  int running = 0, succeeded = 0, failed = 0, stopped = 0;
  int queued = Unmade(sweep);
  const int total = static_cast<int>(sweep.trial_ids.size()) + queued;
  for (const std::string& id : sweep.trial_ids) {
    switch (state.trials.at(id).state) {
      case core::TrialState::kQueued:
        ++queued;
        break;
      case core::TrialState::kSucceeded:
        ++succeeded;
        break;
      case core::TrialState::kFailed:
        ++failed;
        break;
      case core::TrialState::kStopped:
        ++stopped;
        break;
      default:
        ++running;
    }
  }
  view.set_trials_total(total);
  view.set_trials_queued(queued);
  view.set_trials_running(running);
  view.set_trials_succeeded(succeeded);
  view.set_trials_failed(failed);
  view.set_trials_stopped(stopped);
  if (const auto best = state.trials.find(sweep.best_trial_id); best != state.trials.end()) {
    view.set_best_trial_id(best->first);
    view.set_best_value(best->second.best_value);
  }
  SetBestConfiguration(state, sweep, view);
  view.set_message(sweep.message);
  return view;
}

v1::Trial TrialView(ServiceContext& context, const core::ClusterState& state,
                    const core::Trial& trial) {
  const core::SweepSpec& spec = state.sweeps.at(trial.sweep_id).spec;
  v1::Trial view;
  view.set_id(trial.id);
  view.set_sweep_id(trial.sweep_id);
  view.set_index(trial.index);
  const core::FoldPlace place = core::PlaceOf(spec, trial.index);
  view.set_configuration(place.configuration);
  if (!spec.fold_train_samples.empty()) view.set_fold(place.fold + 1);
  view.set_state(ToProto(trial.state));
  for (const core::Param& param : trial.params) {
    v1::Param& out = *view.add_params();
    out.set_path(param.path);
    *out.mutable_value() = ToProto(param.value);
  }
  view.set_attempt(trial.attempt);
  view.set_epochs_done(trial.epochs_done);
  view.set_epochs_total(spec.epochs);

  const bool live =
      trial.state == core::TrialState::kStarting || trial.state == core::TrialState::kRunning;
  std::optional<v1::Progress> progress;
  if (live) progress = context.live.GetProgress({trial.id, trial.attempt});
  const double fraction =
      trial.state == core::TrialState::kSucceeded
          ? 1.0
          : FractionDone(trial.epochs_done, spec.epochs, progress ? &*progress : nullptr);
  view.set_percent_done(100 * fraction);
  if (progress) {
    *view.mutable_progress() = *progress;
    const auto dataset = state.datasets.find(spec.dataset);
    const uint64_t samples = !spec.fold_train_samples.empty()
                                 ? spec.fold_train_samples[static_cast<size_t>(place.fold)]
                             : dataset == state.datasets.end() ? 0
                                                               : dataset->second.train_samples;
    const absl::Duration left = TimeLeft(fraction, spec.epochs, samples, *progress);
    // A range test ends when the loss says so, and its steps are no epoch's.
    if (samples > 0 && progress->phase() != "range" && left < absl::Hours(24 * 365)) {
      *view.mutable_eta() = ToProto(left);
    }
  }

  if (trial.has_best) {
    view.set_best_value(trial.best_value);
    view.set_best_epoch(trial.best_epoch);
  }
  for (const auto& [name, value] : LastMetrics(context, trial)) {
    (*view.mutable_last_metrics())[name] = value;
  }
  if (trial.latest.exists()) {
    SetArtifact(context, trial.latest, view.mutable_latest_checkpoint());
    view.mutable_latest_checkpoint()->set_step(trial.latest.step);
  }
  if (trial.best.exists()) SetArtifact(context, trial.best, view.mutable_best_checkpoint());
  if (trial.latest_predictions.epoch > 0) {
    SetArtifact(context, trial.latest_predictions, view.mutable_latest_predictions());
  }
  if (trial.best_predictions.epoch > 0) {
    SetArtifact(context, trial.best_predictions, view.mutable_best_predictions());
  }
  if (trial.start_time > 0) *view.mutable_start_time() = ToTimestamp(trial.start_time);
  if (trial.end_time > 0) *view.mutable_end_time() = ToTimestamp(trial.end_time);
  for (const core::GangMember& member : trial.gang) view.add_workers(member.worker.worker_id);
  view.set_failure_kind(ToProto(trial.failure));
  view.set_message(trial.message);
  return view;
}

v1::Node NodeView(ServiceContext& context, const core::Worker& worker) {
  v1::Node view;
  view.set_id(worker.id);
  view.set_incarnation(worker.incarnation);
  view.set_address(worker.address);
  view.set_version(worker.version);
  view.set_accelerator(Word(worker.accelerator));
  view.set_device(worker.device);
  for (size_t i = 0; i < worker.slots.size(); ++i) {
    const core::Slot& slot = worker.slots[i];
    v1::Slot& out = *view.add_slots();
    out.set_index(static_cast<int>(i));
    out.set_state(ToProto(slot.state));
    out.set_trial_id(slot.trial.trial_id);
    out.set_rank(slot.rank);
  }
  view.set_draining(worker.draining && !worker.lost);
  view.set_connected(!worker.lost && context.sessions.IsConnected({worker.id, worker.incarnation}));
  if (const auto heard = context.engine.LastHeartbeat(worker.id)) {
    *view.mutable_last_heartbeat() = ToTimestamp(absl::ToUnixMicros(*heard));
  }
  return view;
}

v1::Dataset DatasetView(const core::Dataset& dataset) {
  v1::Dataset view;
  if (!view.ParseFromString(dataset.encoded)) view.set_name(dataset.name);
  return view;
}

}  // namespace mead::service
