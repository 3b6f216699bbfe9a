// Inside the core: one call of Step() on its way through the subjects.
//
// step.cc dispatches an event to the subject it is about; what follows from it is
// done by calls between them:
//   sweep.cc     submit, propose trials, stop, end
//   schedule.cc  give idle slots to queued trials           (gang.cc chooses them)
//   attempt.cc   start, ready, exit, abort: one run of a gang
//   retry.cc     what follows when an attempt has failed
//   progress.cc  epochs, predictions, the best trial
//   folds.cc     trials that are one configuration together (folds.h)
//   checkpoints.cc  which are kept, and what a restart goes on from
//   worker.cc    register, reconnect, drain, lose
#pragma once

#include <string>
#include <vector>

#include "coordinator/core/command.h"
#include "coordinator/core/gang.h"
#include "coordinator/core/state.h"

namespace mead::core {

struct Turn {
  ClusterState& state;
  TimeMicros now;
  std::vector<Command> commands;
  // Something that queued trials wait for may have come.
  bool schedule = false;
};

// nullptr unless it is the worker's current, living incarnation.
Worker* CurrentWorker(Turn& turn, const WorkerRef& ref);
// nullptr unless it is the trial's current attempt and has not ended.
Trial* CurrentTrial(Turn& turn, const TrialRef& ref);
// As CurrentTrial, and the member must be on that worker and not gone.
Trial* TrialOfMember(Turn& turn, const WorkerRef& worker, const TrialRef& trial, int rank);

// Step() must be called again by then.
void SetDeadline(Turn& turn, TimeMicros deadline);

// --- attempt.cc
void BeginAttempt(Turn& turn, Trial& trial, const std::vector<SlotRef>& places);
void SendAssign(Turn& turn, const Trial& trial, int rank);
// Aborts the members that are not gone yet; when they are, the trial goes on to
// where stop_requested and failure say. No-op unless it starts or runs.
void EndAttempt(Turn& turn, Trial& trial, const std::string& reason);
// Likewise for a gang whose ranks have agreed to end: they are given time for it.
void LetAttemptYield(Turn& turn, Trial& trial, const std::string& reason);
// Takes note of why the attempt fails; the more telling kind wins, because the
// ranks that only lost their peer often report first.
void Blame(Trial& trial, FailureKind kind, const std::string& message);
// A member's process is gone (its slot has been seen to already).
void SetGone(Trial& trial, int rank, bool succeeded);
// Moves a stopping trial on when all of its members are gone.
void FinishAttemptIfGone(Turn& turn, Trial& trial);
void StopTrial(Turn& turn, Trial& trial, const std::string& reason);
void PassStartDeadline(Turn& turn, Trial& trial);

// Aborts those that are left of a gang that was to end itself.
void PassYieldDeadline(Turn& turn, Trial& trial);

// --- retry.cc
// The failed attempt is gone: queues the trial again or fails it.
void RetryOrFail(Turn& turn, Trial& trial);

// --- sweep.cc
void ProposeTrials(Turn& turn, Sweep& sweep);
// The trial has reached its last state.
void CloseTrial(Turn& turn, Trial& trial);

// --- schedule.cc
void Schedule(Turn& turn);

// --- progress.cc
// Forgets the epochs after the checkpoint from which a restart goes on.
void RollBackToCheckpoint(Turn& turn, Trial& trial);
// Only rank 0 reports epochs and checkpoints; nullptr for another, or a stale attempt. While
// the attempt is being ended they still count: they were true when they were sent.
Trial* ReportedBy(Turn& turn, const WorkerRef& worker, const TrialRef& ref);

// --- checkpoints.cc
// Lets go of those that are neither among the best nor among the last.
void RetainCheckpoints(const SweepSpec& spec, Trial& trial);
// Where the latest could not be gone on from: takes the one before it, and says so (", the
// checkpoint of ... is damaged"); otherwise says nothing.
std::string DropDamagedCheckpoint(Trial& trial);

// --- handlers of events, each in the file of its subject
void Handle(Turn& turn, const Configured& event);
void Handle(Turn& turn, const DatasetCreated& event);
void Handle(Turn& turn, const DatasetDeleted& event);
void Handle(Turn& turn, const SweepSubmitted& event);
void Handle(Turn& turn, const SweepStopRequested& event);
void Handle(Turn& turn, const TrialStopRequested& event);
void Handle(Turn& turn, const WorkerRegistered& event);
void Handle(Turn& turn, const WorkerLost& event);
void Handle(Turn& turn, const WorkerDraining& event);
void Handle(Turn& turn, const MemberReady& event);
void Handle(Turn& turn, const EpochReported& event);
void Handle(Turn& turn, const CheckpointSaved& event);
void Handle(Turn& turn, const PredictionsSaved& event);
void Handle(Turn& turn, const MemberExited& event);
void Handle(Turn& turn, const Tick& event);
void Handle(Turn& turn, const CheckpointsDropped& event);

}  // namespace mead::core
