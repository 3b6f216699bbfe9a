// One worker's reports, as what the engine takes: an event and rows.
//
// It also judges them. A member whose report cannot be right (its epoch plan is
// not ours, its ledger lacks a picture, its checkpoint is not stored) is told to end, and when it
// has, its failure is put down to that cause: the slot stays taken until its process is gone.
//
// Thread: one instance per session, called by its reads one at a time.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/epoch_plan.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"
#include "coordinator/service/engine.h"
#include "coordinator/store/artifact_store.h"
#include "mead/v1/worker.pb.h"

namespace mead::service {

// The plan that a trial's ranks must follow in an epoch, or in its rest from a step on.
// Errors: NOT_FOUND (its data set is gone), INVALID_ARGUMENT (the epoch has fewer steps).
[[nodiscard]] absl::StatusOr<EpochPlan> PlanOf(const core::ClusterState& state,
                                               const core::Trial& trial, int epoch,
                                               int64_t first_step = 0);

class ReportTranslator {
 public:
  ReportTranslator(core::WorkerRef worker, std::string instance_id, store::ArtifactStore& artifacts)
      : worker_(std::move(worker)),
        instance_id_(std::move(instance_id)),
        artifacts_(artifacts) {}

  struct Result {
    WorkerReport report;
    // The order to end the member that reported.
    std::optional<v1::SessionResponse> abort;
  };
  // state: recent enough to hold every attempt that this worker was assigned.
  [[nodiscard]] Result Translate(const v1::Report& report, const core::ClusterState& state,
                                 core::TimeMicros now);

 private:
  // Why a member was told to end from here.
  struct Verdict {
    core::FailureKind kind;
    std::string message;
  };
  using MemberKey = std::pair<std::string, std::pair<int, int>>;  // trial, attempt, rank

  void Condemn(const v1::Report& report, Verdict verdict, Result& result);
  void TranslateEpoch(const v1::Report& report, const core::Trial& trial,
                      const core::ClusterState& state, core::TimeMicros now, Result& result);
  void TranslateReady(const v1::Report& report, const core::Trial& trial,
                      const core::ClusterState& state, Result& result);
  void TranslateCheckpoint(const v1::Report& report, const core::Trial& trial,
                           const core::ClusterState& state, Result& result);
  void TranslatePredictions(const v1::Report& report, Result& result);
  void TranslateLrRange(const v1::Report& report, core::TimeMicros now, Result& result);
  void TranslateExit(const v1::Report& report, Result& result);

  const core::WorkerRef worker_;
  const std::string instance_id_;
  store::ArtifactStore& artifacts_;
  std::map<MemberKey, Verdict> verdicts_;
};

}  // namespace mead::service
