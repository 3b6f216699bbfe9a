#include "coordinator/service/command_messages.h"

#include <string>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"
#include "coordinator/core/folds.h"
#include "coordinator/service/apply_params.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/spec_defaults.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {
namespace {

absl::StatusOr<v1::SessionResponse> AssignMessage(const core::AssignMember& command,
                                                  const core::ClusterState& state) {
  const auto trial = state.trials.find(command.trial.trial_id);
  const auto worker = state.workers.find(command.worker.worker_id);
  if (trial == state.trials.end() || worker == state.workers.end()) {
    return absl::NotFoundError(absl::StrCat("trial ", command.trial.trial_id, " or worker ",
                                            command.worker.worker_id, " is gone"));
  }
  const core::Sweep& sweep = state.sweeps.at(trial->second.sweep_id);
  const auto dataset = state.datasets.find(sweep.spec.dataset);
  if (dataset == state.datasets.end()) {
    return absl::NotFoundError(absl::StrCat("data set ", sweep.spec.dataset, " is gone"));
  }

  v1::SessionResponse message;
  v1::Assign& assign = *message.mutable_assign();
  *assign.mutable_trial() = ToProto(command.trial);
  assign.set_rank(command.rank);
  assign.set_world_size(command.world_size);
  assign.set_slot(command.slot);
  MEAD_ASSIGN_OR_RETURN(*assign.mutable_config(),
                        TrialConfig(state, trial->second, worker->second.accelerator));
  assign.set_manifest_digest(dataset->second.manifest_digest);
  assign.mutable_objective()->set_metric(sweep.spec.objective_metric);
  assign.mutable_objective()->set_goal(sweep.spec.goal == core::Goal::kMinimize ? "minimize"
                                                                                : "maximize");
  if (!command.resume_digest.empty()) {
    v1::Checkpoint& checkpoint = *assign.mutable_resume_from();
    checkpoint.set_digest(command.resume_digest);
    checkpoint.set_epoch(command.resume_epoch);
    checkpoint.set_step(command.resume_step);
    checkpoint.set_size_bytes(trial->second.latest.size_bytes);
  }
  return message;
}

}  // namespace

const core::WorkerRef& WorkerOf(const core::Command& command) {
  return std::visit([](const auto& body) -> const core::WorkerRef& { return body.worker; },
                    command);
}

absl::StatusOr<v1::TrainConfig> TrialConfig(const core::ClusterState& state,
                                            const core::Trial& trial,
                                            core::Accelerator accelerator) {
  v1::SweepSpec spec;
  if (!spec.ParseFromString(state.sweeps.at(trial.sweep_id).spec.encoded)) {
    return absl::InternalError(
        absl::StrCat("the journal's specification of sweep ", trial.sweep_id, " is unreadable"));
  }
  v1::TrainConfig config = spec.train();
  MEAD_RETURN_IF_ERROR(ApplyParams(config, trial.params));
  FillTrainDefaults(config, Word(accelerator));
  const core::SweepSpec& core_spec = state.sweeps.at(trial.sweep_id).spec;
  if (const int folds = core::FoldsOf(core_spec); folds > 1) {
    config.mutable_fold()->set_index(core::PlaceOf(core_spec, trial.index).fold + 1);
    config.mutable_fold()->set_folds(folds);
    config.mutable_fold()->set_seed(spec.search().fold_seed());
  }
  return config;
}

absl::StatusOr<v1::SessionResponse> MessageFor(const core::Command& command,
                                               const core::ClusterState& state) {
  if (const auto* assign = std::get_if<core::AssignMember>(&command)) {
    return AssignMessage(*assign, state);
  }
  v1::SessionResponse message;
  if (const auto* start = std::get_if<core::StartMember>(&command)) {
    v1::Go& go = *message.mutable_go();
    *go.mutable_trial() = ToProto(start->trial);
    go.set_rank(start->rank);
    go.set_rendezvous(start->rendezvous);
  } else if (const auto* stop = std::get_if<core::AbortMember>(&command)) {
    v1::Abort& abort = *message.mutable_abort();
    *abort.mutable_trial() = ToProto(stop->trial);
    abort.set_rank(stop->rank);
    abort.set_reason(stop->reason);
  } else {
    message.mutable_fenced()->set_reason(std::get<core::FenceWorker>(command).reason);
  }
  return message;
}

}  // namespace mead::service
