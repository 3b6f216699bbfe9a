#include "coordinator/service/report_translator.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/range_test.h"
#include "common/base/sample_ledger.h"
#include "common/log.h"
#include "common/status_util.h"
#include "coordinator/core/folds.h"
#include "coordinator/service/command_messages.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/words.h"
#include "mead/v1/dataset.pb.h"

namespace mead::service {
namespace {

std::vector<LedgerEntry> ToLedger(
    const google::protobuf::RepeatedPtrField<v1::LedgerEntry>& entries) {
  std::vector<LedgerEntry> ledger;
  for (const v1::LedgerEntry& entry : entries) {
    ledger.push_back({.attempt = entry.attempt(),
                      .begin = entry.begin_step(),
                      .end = entry.end_step(),
                      .samples = entry.samples(),
                      .sum_a = entry.sum_a(),
                      .sum_b = entry.sum_b()});
  }
  return ledger;
}

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

absl::StatusOr<EpochPlan> PlanOf(const core::ClusterState& state, const core::Trial& trial,
                                 int epoch, int64_t first_step) {
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
  const auto fold = static_cast<size_t>(core::PlaceOf(spec, trial.index).fold);
  const bool folds = !spec.fold_train_samples.empty();
  EpochPlanOptions options = {
      .num_samples = folds ? spec.fold_train_samples[fold] : dataset->second.train_samples,
      .seed = config.seed(),
      .epoch = static_cast<uint64_t>(epoch),
      .batch_size = static_cast<uint64_t>(config.batch_size()),
      .world_size = static_cast<uint32_t>(ranks)};
  if (config.sampling() == "balanced" && folds) {
    v1::SweepSpec whole;
    if (!whole.ParseFromString(spec.encoded) ||
        whole.fold_pictures_size() != static_cast<int>(spec.fold_train_samples.size())) {
      return absl::InternalError(
          absl::StrCat("the journal's folds of sweep ", trial.sweep_id, " are unreadable"));
    }
    const auto& train = whole.fold_pictures(static_cast<int>(fold)).train();
    options.class_counts.assign(train.begin(), train.end());
  } else if (config.sampling() == "balanced") {
    v1::Dataset described;
    if (!described.ParseFromString(dataset->second.encoded)) {
      return absl::InternalError(
          absl::StrCat("the journal's description of data set ", spec.dataset, " is unreadable"));
    }
    for (const v1::ClassCount& label : described.classes()) {
      options.class_counts.push_back(label.train_samples());
    }
  }
  EpochPlan plan(options);
  if (first_step == 0) return plan;
  if (first_step < 0 || static_cast<uint64_t>(first_step) > plan.steps()) {
    return absl::InvalidArgumentError(absl::StrCat("epoch ", epoch, " has ", plan.steps(),
                                                   " steps, so none can be the first after ",
                                                   first_step));
  }
  options.first_step = static_cast<uint64_t>(first_step);
  return EpochPlan(options);
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
      TranslateCheckpoint(report, trial->second, state, result);
      break;
    case v1::Report::kPredictions:
      TranslatePredictions(report, result);
      break;
    case v1::Report::kLrRange:
      TranslateLrRange(report, now, result);
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
  verdicts_.insert_or_assign({report.trial().trial_id(), {report.trial().attempt(), report.rank()}},
                             std::move(verdict));
}

void ReportTranslator::TranslateReady(const v1::Report& report, const core::Trial& trial,
                                      const core::ClusterState& state, Result& result) {
  const int epoch = trial.latest.epoch + 1;
  const int epochs = state.sweeps.at(trial.sweep_id).spec.epochs;
  const absl::StatusOr<EpochPlan> ours = PlanOf(state, trial, epoch, trial.latest.step);
  // An attempt that goes on from the last epoch's checkpoint has no plan to compare.
  if (epoch <= epochs && ours.ok() && report.ready().plan_digest() != ours->Digest()) {
    Condemn(report,
            {core::FailureKind::kInfrastructure,
             absl::StrCat("rank ", report.rank(), " on ", worker_.worker_id, " plans epoch ", epoch,
                          " otherwise than the coordinator (digest '", report.ready().plan_digest(),
                          "', expected '", ours->Digest(),
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
  const absl::StatusOr<EpochPlan> ours = PlanOf(state, trial, epoch.epoch());
  if (ours.ok() && epoch.plan_digest() != ours->Digest()) {
    Condemn(report,
            {core::FailureKind::kInfrastructure,
             absl::StrCat("epoch ", epoch.epoch(), " was trained by another plan (digest '",
                          epoch.plan_digest(), "', expected '", ours->Digest(),
                          "'); check that every worker runs this version")},
            result);
    return;
  }
  if (ours.ok()) {
    const std::string wrong = CheckLedger(*ours, ToLedger(epoch.ledger()), ours->steps());
    if (!wrong.empty()) {
      Condemn(report,
              {core::FailureKind::kInfrastructure,
               absl::StrCat("epoch ", epoch.epoch(),
                            " did not use every picture exactly once (internal error): ", wrong)},
              result);
      return;
    }
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
  result.report.event = core::EpochReported{worker_, ref, epoch.epoch(), objective->second};
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

void ReportTranslator::TranslateCheckpoint(const v1::Report& report, const core::Trial& trial,
                                           const core::ClusterState& state, Result& result) {
  const v1::CheckpointReport& checkpoint = report.checkpoint();
  if (checkpoint.step() != 0) {
    const absl::StatusOr<EpochPlan> rest =
        PlanOf(state, trial, checkpoint.epoch() + 1, checkpoint.step());
    const std::string wrong =
        absl::IsNotFound(rest.status()) ? ""
        : !rest.ok()                    ? std::string(rest.status().message())
                     : CheckLedger(*rest, ToLedger(checkpoint.ledger()), rest->first_step());
    if (!wrong.empty()) {
      Condemn(report,
              {core::FailureKind::kInfrastructure,
               absl::StrCat(
                   "the checkpoint after step ", checkpoint.step(), " of epoch ",
                   checkpoint.epoch() + 1,
                   " did not use every picture before it exactly once (internal error): ", wrong)},
              result);
      return;
    }
  }
  const auto stored = artifacts_.Stat(checkpoint.digest());
  if (!stored.ok() || !stored->complete) {
    Condemn(report,
            {core::FailureKind::kInfrastructure,
             absl::StrCat("the checkpoint of epoch ", checkpoint.epoch(), " (", checkpoint.digest(),
                          ") was announced but is not stored at the coordinator")},
            result);
    return;
  }
  result.report.event = core::CheckpointSaved{worker_,
                                              ToCore(report.trial()),
                                              checkpoint.epoch(),
                                              checkpoint.digest(),
                                              checkpoint.size_bytes(),
                                              checkpoint.step()};
}

// Training does not depend on them, so a member is not ended for predictions that are not here.
void ReportTranslator::TranslatePredictions(const v1::Report& report, Result& result) {
  const v1::PredictionsReport& predictions = report.predictions();
  const auto stored = artifacts_.Stat(predictions.digest());
  if (!stored.ok() || !stored->complete) {
    Log(LogLevel::kWarning,
        absl::StrCat("the predictions of ", report.trial().trial_id(), ", epoch ",
                     predictions.epoch(), " (", predictions.digest(),
                     ") were announced but are not stored here; passed over"));
    return;
  }
  result.report.event = core::PredictionsSaved{worker_, ToCore(report.trial()), predictions.epoch(),
                                               predictions.digest(), predictions.size_bytes()};
}

// Rows alone: nothing that the core decides depends on a curve.
void ReportTranslator::TranslateLrRange(const v1::Report& report, core::TimeMicros now,
                                        Result& result) {
  const core::TrialRef ref = ToCore(report.trial());
  const int points = std::min(report.lr_range().points_size(), kMaxRangeTestSteps);
  for (int i = 0; i < points; ++i) {
    const v1::LrRangePoint& point = report.lr_range().points(i);
    for (const auto& [name, value] : {std::pair{kRangeLr, point.lr()},
                                      {kRangeLoss, point.loss()},
                                      {kRangeSmoothedLoss, point.smoothed_loss()}}) {
      if (!std::isfinite(value)) continue;
      store::MetricRow row;
      row.trial_id = ref.trial_id;
      row.attempt = ref.attempt;
      row.epoch = 1;
      row.step = i + 1;
      row.time_micros = now;
      row.name = name;
      row.value = value;
      result.report.rows.metrics.push_back(std::move(row));
    }
  }
}

void ReportTranslator::TranslateExit(const v1::Report& report, Result& result) {
  const v1::MemberExited& exited = report.exited();
  core::MemberExited event{worker_,
                           ToCore(report.trial()),
                           report.rank(),
                           exited.succeeded(),
                           exited.succeeded() ? core::FailureKind::kNone : ToCore(exited.kind()),
                           exited.message(),
                           exited.checkpoint_damaged(),
                           exited.yielded()};
  if (exited.checkpoint_damaged()) {
    Log(LogLevel::kWarning,
        absl::StrCat("the latest checkpoint of trial ", report.trial().trial_id(),
                     " is damaged, and it goes on from the one before: ", exited.message()));
  }
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
