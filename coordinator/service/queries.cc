#include "coordinator/service/queries.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/status_util.h"
#include "common/version.h"
#include "coordinator/service/command_messages.h"
#include "coordinator/service/configuration_view.h"
#include "coordinator/service/confusion_view.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/leakage_view.h"
#include "coordinator/service/manifests.h"
#include "coordinator/service/resolve.h"
#include "coordinator/service/views.h"

namespace mead::service {
namespace {

void AddNodes(ServiceContext& context, const core::ClusterState& state,
              google::protobuf::RepeatedPtrField<v1::Node>* nodes) {
  for (const auto& [id, worker] : state.workers) *nodes->Add() = NodeView(context, worker);
}

bool IsActive(core::TrialState state) {
  return state == core::TrialState::kStarting || state == core::TrialState::kRunning ||
         state == core::TrialState::kStopping;
}

}  // namespace

std::vector<v1::Condition> Queries::Conditions() const {
  std::vector<v1::Condition> conditions;
  const auto add = [&conditions](const char* name, std::string message) {
    v1::Condition& condition = conditions.emplace_back();
    condition.set_name(name);
    condition.set_message(std::move(message));
  };
  if (const absl::Status disk = context_.disk.Admit(); !disk.ok()) {
    add("DiskNearlyFull", std::string(disk.message()));
  }
  const auto state = context_.engine.snapshot();
  std::vector<std::string> lost;
  for (const auto& [id, worker] : state->workers) {
    if (worker.lost) lost.push_back(id);
  }
  if (!lost.empty()) {
    add("WorkersLost",
        absl::StrCat(lost.size(), lost.size() == 1 ? " worker is" : " workers are",
                     " lost: ", absl::StrJoin(lost, ", "),
                     "; their trials go on elsewhere; start the workers again, or ignore this if "
                     "they are gone for good"));
  }
  return conditions;
}

v1::GetStatusResponse Queries::GetStatus() const {
  const auto state = context_.engine.snapshot();
  v1::GetStatusResponse status;
  status.set_version(kVersion);
  *status.mutable_start_time() = ToTimestamp(context_.start_time);
  *status.mutable_time() = ToTimestamp(context_.clock.NowMicros());
  AddNodes(context_, *state, status.mutable_nodes());
  int total = 0, idle = 0;
  for (const auto& [id, worker] : state->workers) {
    if (worker.lost) continue;
    total += static_cast<int>(worker.slots.size());
    idle += static_cast<int>(
        std::count_if(worker.slots.begin(), worker.slots.end(),
                      [](const core::Slot& slot) { return slot.state == core::SlotState::kIdle; }));
  }
  status.set_slots_total(total);
  status.set_slots_idle(idle);
  *status.mutable_sweeps() = ListSweeps().sweeps();
  int queued = 0;
  for (const v1::Sweep& sweep : status.sweeps()) queued += sweep.trials_queued();
  status.set_trials_queued(queued);
  for (const auto& [id, trial] : state->trials) {
    if (IsActive(trial.state)) *status.add_active_trials() = TrialView(context_, *state, trial);
  }
  status.set_journal_events(context_.engine.journal_events());
  status.set_disk_free_bytes(context_.disk.FreeBytes());
  for (v1::Condition& condition : Conditions()) {
    *status.add_conditions() = std::move(condition);
  }
  return status;
}

v1::ListNodesResponse Queries::ListNodes() const {
  v1::ListNodesResponse response;
  AddNodes(context_, *context_.engine.snapshot(), response.mutable_nodes());
  return response;
}

v1::ListDatasetsResponse Queries::ListDatasets() const {
  const auto state = context_.engine.snapshot();
  v1::ListDatasetsResponse response;
  for (const auto& [name, dataset] : state->datasets) {
    *response.add_datasets() = DatasetView(dataset);
  }
  return response;
}

absl::StatusOr<v1::GetDatasetResponse> Queries::GetDataset(std::string_view name) const {
  const auto state = context_.engine.snapshot();
  MEAD_ASSIGN_OR_RETURN(const core::Dataset* dataset, FindDataset(*state, name));
  v1::GetDatasetResponse response;
  v1::Dataset& view = *response.mutable_dataset();
  view = DatasetView(*dataset);
  if (view.leakage().groups() == 0 && view.leakage().label_conflicts() == 0) return response;
  // A manifest that cannot be read is for VerifyDataset to tell; the counts hold all the same.
  const absl::StatusOr<dataset::Manifest> manifest =
      LoadManifest(context_, dataset->manifest_digest);
  if (manifest.ok()) AddLeakageNames(*manifest, *view.mutable_leakage());
  return response;
}

v1::ListSweepsResponse Queries::ListSweeps() const {
  const auto state = context_.engine.snapshot();
  v1::ListSweepsResponse response;
  for (auto id = state->sweep_order.rbegin(); id != state->sweep_order.rend(); ++id) {
    *response.add_sweeps() = SweepView(*state, state->sweeps.at(*id));
  }
  return response;
}

absl::StatusOr<v1::GetSweepResponse> Queries::GetSweep(std::string_view id) const {
  const auto state = context_.engine.snapshot();
  MEAD_ASSIGN_OR_RETURN(const core::Sweep* sweep, FindSweep(*state, id));
  v1::GetSweepResponse response;
  *response.mutable_sweep() = SweepView(*state, *sweep);
  for (const std::string& trial_id : sweep->trial_ids) {
    *response.add_trials() = TrialView(context_, *state, state->trials.at(trial_id));
  }
  AddConfigurations(*state, *sweep, response.mutable_configurations());
  return response;
}

absl::StatusOr<v1::GetTrialResponse> Queries::GetTrial(std::string_view id) const {
  const auto state = context_.engine.snapshot();
  MEAD_ASSIGN_OR_RETURN(const core::Trial* trial, FindTrial(*state, id));
  v1::GetTrialResponse response;
  *response.mutable_trial() = TrialView(context_, *state, *trial);
  const core::Accelerator accelerator = state->sweeps.at(trial->sweep_id).spec.accelerator;
  MEAD_ASSIGN_OR_RETURN(*response.mutable_config(), TrialConfig(*state, *trial, accelerator));
  return response;
}

absl::StatusOr<v1::GetMetricsResponse> Queries::GetMetrics(
    const v1::GetMetricsRequest& request) const {
  const auto state = context_.engine.snapshot();
  MEAD_ASSIGN_OR_RETURN(const core::Trial* trial, FindTrial(*state, request.trial_id()));
  const std::vector<std::string> names(request.names().begin(), request.names().end());
  MEAD_ASSIGN_OR_RETURN(const std::vector<store::MetricRow> rows,
                        context_.store.Metrics(trial->id, names));
  v1::GetMetricsResponse response;
  response.set_trial_id(trial->id);
  for (const store::MetricRow& row : rows) {
    v1::MetricPoint& point = *response.add_points();
    *point.mutable_time() = ToTimestamp(row.time_micros);
    point.set_epoch(row.epoch);
    point.set_step(row.step);
    point.set_name(row.name);
    point.set_value(row.value);
  }
  return response;
}

absl::StatusOr<v1::GetConfusionResponse> Queries::GetConfusion(
    const v1::GetConfusionRequest& request) const {
  const auto state = context_.engine.snapshot();
  MEAD_ASSIGN_OR_RETURN(const core::Trial* trial, FindTrial(*state, request.trial_id()));
  return request.pooled() ? PooledConfusionOf(context_.store, *state, *trial, request.epoch())
                          : ConfusionOf(context_.store, *trial, request.epoch());
}

}  // namespace mead::service
