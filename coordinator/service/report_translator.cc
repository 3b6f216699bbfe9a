#include "coordinator/service/report_translator.h"

#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/epoch_plan.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/service/command_messages.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/words.h"
#include "mead/v1/dataset.pb.h"

namespace mead::service {
namespace {

store::Rows LogRows(const v1::LogBatch& batch, const core::TrialRef& trial) {
  store::Rows rows;
  for (const v1::LogLine& line : batch.lines()) {
    store::LogRow row;
    row.trial_id = trial.trial_id;
    row.attempt = line.attempt() > 0 ? line.attempt() : trial.attempt;
    row.rank = line.rank();
    row.time_micros = ToMicros(line.time());
    row.text = line.text();
    rows.logs.push_back(std::move(row));
  }
  return rows;
}

}  // namespace

absl::StatusOr<std::string> PlanDigest(const core::ClusterState& state, const core::Trial& trial,
                                       int epoch) {
  const core::SweepSpec& spec = state.sweeps.at(trial.sweep_id).spec;
  const auto dataset = state.datasets.find(spec.dataset);
  if (dataset == state.datasets.end()) {
    return absl::NotFoundError(absl::StrCat("data set ", spec.dataset, " is gone"));
  }
  // Nothing that the plan depends on differs between accelerators.
  MEAD_ASSIGN_OR_RETURN(const v1::TrainConfig config,
                        TrialConfig(state, trial, core::Accelerator::kAny));
  // Deterministic trials are planned for their virtual ranks, as the trainer plans.
  const int ranks = config.deterministic() ? config.virtual_ranks() : spec.ranks;
  std::vector<uint64_t> class_counts;
  if (config.sampling() == "balanced") {
    v1::Dataset described;
    if (!described.ParseFromString(dataset->second.encoded)) {
      return absl::InternalError(
          absl::StrCat("the journal's description of data set ", spec.dataset, " is unreadable"));
    }
    for (const v1::ClassCount& label : described.classes()) {
      class_counts.push_back(label.train_samples());
    }
  }
  const EpochPlan plan({.num_samples = dataset->second.train_samples,
                        .seed = config.seed(),
                        .epoch = static_cast<uint64_t>(epoch),
                        .batch_size = static_cast<uint64_t>(config.batch_size()),
                        .world_size = static_cast<uint32_t>(ranks),
                        .class_counts = std::move(class_counts)});
  return plan.Digest();
}

ReportTranslator::Result ReportTranslator::Translate(const v1::Report& report,
                                                     const core::ClusterState& state,
                                                     core::TimeMicros now) {
  Result result;
  result.report.worker = worker_;
  result.report.instance_id = instance_id_;
  result.report.sequence = report.sequence();
  const core::TrialRef ref = ToCore(report.trial());
  if (report.body_case() == v1::Report::kLogs) {
    // The last words of an attempt that is over are the most wanted of all.
    result.report.rows = LogRows(report.logs(), ref);
    return result;
  }
  const auto trial = state.trials.find(ref.trial_id);
  if (trial == state.trials.end() || trial->second.attempt != ref.attempt) {
    return result;  // stale: nothing but its acknowledgement is left to do
  }
  switch (report.body_case()) {
    case v1::Report::kReady:
      TranslateReady(report, trial->second, state, result);
      break;
    case v1::Report::kEpoch:
      TranslateEpoch(report, trial->second, state, now, result);
      break;
    case v1::Report::kCheckpoint:
      TranslateCheckpoint(report, result);
      break;
    case v1::Report::kExited:
      TranslateExit(report, result);
      break;
    default:
      break;
  }
  return result;
}

void ReportTranslator::Condemn(const v1::Report& report, Verdict verdict, Result& result) {
  Log(LogLevel::kWarning,
      absl::StrCat("ending rank ", report.rank(), " of ", report.trial().trial_id(), " on ",
                   worker_.worker_id, ": ", verdict.message));
  v1::Abort& abort = *result.abort.emplace().mutable_abort();
  *abort.mutable_trial() = report.trial();
  abort.set_rank(report.rank());
  abort.set_reason(verdict.message);
  verdicts_.insert_or_assign(
      {report.trial().trial_id(), {report.trial().attempt(), report.rank()}}, std::move(verdict));
}

void ReportTranslator::TranslateReady(const v1::Report& report, const core::Trial& trial,
                                      const core::ClusterState& state, Result& result) {
  const int epoch = trial.latest.epoch + 1;
  const int epochs = state.sweeps.at(trial.sweep_id).spec.epochs;
  const absl::StatusOr<std::string> ours = PlanDigest(state, trial, epoch);
  // An attempt that goes on from the last epoch's checkpoint has no plan to compare.
  if (epoch <= epochs && ours.ok() && report.ready().plan_digest() != *ours) {
    Condemn(report,
            {core::FailureKind::kInfrastructure,
             absl::StrCat("rank ", report.rank(), " on ", worker_.worker_id, " plans epoch ", epoch,
                          " otherwise than the coordinator (digest '",
                          report.ready().plan_digest(), "', expected '", *ours,
                          "'); check that every worker runs this version")},
            result);
    return;
  }
  result.report.event = core::MemberReady{worker_, ToCore(report.trial()), report.rank(),
                                          report.ready().rendezvous()};
}

void ReportTranslator::TranslateEpoch(const v1::Report& report, const core::Trial& trial,
                                      const core::ClusterState& state, core::TimeMicros now,
                                      Result& result) {
  const v1::EpochReport& epoch = report.epoch();
  const absl::StatusOr<std::string> ours = PlanDigest(state, trial, epoch.epoch());
  if (ours.ok() && epoch.plan_digest() != *ours) {
    Condemn(report,
            {core::FailureKind::kInfrastructure,
             absl::StrCat("epoch ", epoch.epoch(), " was trained by another plan (digest '",
                          epoch.plan_digest(), "', expected '", *ours,
                          "'); check that every worker runs this version")},
            result);
    return;
  }
  const std::string& metric = state.sweeps.at(trial.sweep_id).spec.objective_metric;
  const auto objective = epoch.metrics().find(metric);
  if (objective == epoch.metrics().end()) {
    std::vector<std::string> names;
    for (const auto& [name, value] : epoch.metrics()) names.push_back(name);
    Condemn(report,
            {core::FailureKind::kUserError,
             absl::StrCat("its epoch reports have no '", metric, "', which is the objective",
                          NearOrKnown(metric, names))},
            result);
    return;
  }
  const core::TrialRef ref = ToCore(report.trial());
  result.report.event =
      core::EpochReported{worker_, ref, epoch.epoch(), objective->second};
  for (const auto& [name, value] : epoch.metrics()) {
    store::MetricRow row;
    row.trial_id = ref.trial_id;
    row.attempt = ref.attempt;
    row.epoch = epoch.epoch();
    row.step = epoch.step();
    row.time_micros = now;
    row.name = name;
    row.value = value;
    result.report.rows.metrics.push_back(std::move(row));
  }
  if (epoch.has_confusion()) {
    store::ConfusionRow row;
    row.trial_id = ref.trial_id;
    row.attempt = ref.attempt;
    row.epoch = epoch.epoch();
    row.classes.assign(epoch.confusion().classes().begin(), epoch.confusion().classes().end());
    row.counts.assign(epoch.confusion().counts().begin(), epoch.confusion().counts().end());
    result.report.rows.confusion.push_back(std::move(row));
  }
}

void ReportTranslator::TranslateCheckpoint(const v1::Report& report, Result& result) {
  const v1::CheckpointReport& checkpoint = report.checkpoint();
  const auto stored = artifacts_.Stat(checkpoint.digest());
  if (!stored.ok() || !stored->complete) {
    Condemn(report,
            {core::FailureKind::kInfrastructure,
             absl::StrCat("the checkpoint of epoch ", checkpoint.epoch(), " (", checkpoint.digest(),
                          ") was announced but is not stored at the coordinator")},
            result);
    return;
  }
  result.report.event =
      core::CheckpointSaved{worker_, ToCore(report.trial()), checkpoint.epoch(),
                            checkpoint.digest(), checkpoint.size_bytes()};
}

void ReportTranslator::TranslateExit(const v1::Report& report, Result& result) {
  const v1::MemberExited& exited = report.exited();
  core::MemberExited event{worker_,
                           ToCore(report.trial()),
                           report.rank(),
                           exited.succeeded(),
                           exited.succeeded() ? core::FailureKind::kNone : ToCore(exited.kind()),
                           exited.message()};
  const auto verdict =
      verdicts_.find({report.trial().trial_id(), {report.trial().attempt(), report.rank()}});
  if (verdict != verdicts_.end()) {
    event.succeeded = false;
    event.kind = verdict->second.kind;
    event.message = verdict->second.message;
    verdicts_.erase(verdict);
  }
  result.report.event = std::move(event);
}

}  // namespace mead::service
