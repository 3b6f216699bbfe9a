// What follows when an attempt has failed: each kind of failure has its own budget.
#include <algorithm>

#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"
#include "coordinator/core/words.h"

namespace mead::core {
namespace {

struct Purse {
  int budget;
  int& spent;
};

Purse PurseFor(const RetryBudget& retry, Trial& trial) {
  switch (trial.failure) {
    case FailureKind::kUserError:
      return {retry.user_error, trial.user_error_retries};
    case FailureKind::kOutOfMemory:
      return {retry.out_of_memory, trial.out_of_memory_retries};
    case FailureKind::kNone:
    case FailureKind::kInfrastructure:
    case FailureKind::kPreempted:
      break;
  }
  return {retry.infrastructure, trial.infrastructure_retries};
}

// Doubles with each failure in a row, up to the configured most.
TimeMicros Backoff(const Config& config, int failures_in_a_row) {
  TimeMicros wait = config.first_backoff;
  for (int i = 1; i < failures_in_a_row && wait < config.max_backoff; ++i) wait *= 2;
  return std::min(wait, config.max_backoff);
}

std::string ComesFrom(const Trial& trial) {
  return trial.latest.exists() ? "from the checkpoint of " + Name(trial.latest)
                               : "from the beginning";
}

// Whoever asked its worker to end knew that there would be a next attempt.
void QueueAfterPreemption(Turn& turn, Trial& trial) {
  ++trial.preemptions;
  Move(trial, TrialState::kQueued);
  const std::string lost = DropDamagedCheckpoint(trial);
  RollBackToCheckpoint(turn, trial);
  trial.message = trial.failure_message + " (" + Name(trial.failure) + "; goes on " +
                  ComesFrom(trial) + lost + ")";
}

}  // namespace

void RetryOrFail(Turn& turn, Trial& trial) {
  if (trial.failure == FailureKind::kPreempted) return QueueAfterPreemption(turn, trial);
  const RetryBudget& retry = turn.state.sweeps.at(trial.sweep_id).spec.retry;
  auto [budget, spent] = PurseFor(retry, trial);
  const std::string kind = Name(trial.failure);

  if (budget != RetryBudget::kUnlimited && spent >= budget) {
    Move(trial, TrialState::kFailed);
    trial.message = trial.failure_message + " (" + kind + "; ";
    trial.message += budget == 0 ? "not retried)" : "its " + Count(budget, "restart") + " used up)";
    CloseTrial(turn, trial);
    return;
  }

  ++spent;
  Move(trial, TrialState::kQueued);
  const std::string lost = DropDamagedCheckpoint(trial);
  RollBackToCheckpoint(turn, trial);
  trial.message = trial.failure_message + " (" + kind + ", restart " + std::to_string(spent);
  if (budget != RetryBudget::kUnlimited) trial.message += " of " + std::to_string(budget);
  if (trial.failure == FailureKind::kInfrastructure) {
    // What broke may need a moment; a user's error or a full memory will not mend by waiting.
    const TimeMicros wait = Backoff(turn.state.config, ++trial.failures_in_a_row);
    trial.not_before = turn.now + wait;
    SetDeadline(turn, trial.not_before);
    trial.message += " after " + Duration(wait);
  }
  trial.message += ", " + ComesFrom(trial) + lost + ")";
}

}  // namespace mead::core
