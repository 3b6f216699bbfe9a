// Which checkpoints a trial keeps, and what a restart goes on from.
#include <algorithm>
#include <set>
#include <utility>
#include <vector>

#include "coordinator/core/transitions.h"
#include "coordinator/core/turn.h"
#include "coordinator/core/words.h"

namespace mead::core {
namespace {

std::pair<int, int64_t> PlaceOf(const Checkpoint& checkpoint) {
  return {checkpoint.epoch, checkpoint.step};
}

// The epochs whose checkpoints are worth keeping. Ties go to the earlier.
std::set<int> BestEpochs(const SweepSpec& spec, const Trial& trial) {
  std::vector<std::pair<int, double>> ranked(trial.objectives.begin(), trial.objectives.end());
  std::ranges::stable_sort(ranked, [&](const auto& a, const auto& b) {
    return spec.goal == Goal::kMaximize ? a.second > b.second : a.second < b.second;
  });
  std::set<int> best;
  for (const auto& [epoch, value] : ranked) {
    if (std::ssize(best) < spec.keep_best) best.insert(epoch);
  }
  return best;
}

bool IsOfEpoch(const Checkpoint& checkpoint, int epoch) {
  return checkpoint.exists() && checkpoint.step == 0 && checkpoint.epoch == epoch;
}

}  // namespace

void RetainCheckpoints(const SweepSpec& spec, Trial& trial) {
  // The report of an epoch and its checkpoint may come in either order.
  if (trial.has_best) {
    for (const Checkpoint& one : trial.older) {
      if (IsOfEpoch(one, trial.best_epoch)) trial.best = one;
    }
    if (IsOfEpoch(trial.latest, trial.best_epoch)) trial.best = trial.latest;
  }
  const std::set<int> best = BestEpochs(spec, trial);
  // The last epoch may have been saved before it is judged.
  const int judged = trial.objectives.empty() ? 0 : trial.objectives.rbegin()->first;
  auto last = static_cast<int64_t>(trial.older.size()) - (spec.keep_latest - 1);
  std::erase_if(trial.older, [&](const Checkpoint& one) {
    const bool among_last = last-- <= 0;
    const bool wanted = one.step == 0 && (best.contains(one.epoch) || one.epoch > judged);
    return !among_last && !wanted;
  });
}

std::string DropDamagedCheckpoint(Trial& trial) {
  if (!std::exchange(trial.latest_damaged, false) || !trial.latest.exists()) return "";
  const Checkpoint damaged = std::exchange(trial.latest, {});
  const auto is_damaged = [&](const Checkpoint& one) { return one.digest == damaged.digest; };
  std::erase_if(trial.older, is_damaged);
  if (is_damaged(trial.best)) trial.best = {};
  if (!trial.older.empty()) {
    trial.latest = trial.older.back();
    trial.older.pop_back();
  }
  // From before there was a list of them, the best may be known by itself.
  if (trial.best.exists() && PlaceOf(trial.best) > PlaceOf(trial.latest)) trial.latest = trial.best;
  return ", as that of " + Name(damaged) + " is damaged";
}

void Handle(Turn& turn, const CheckpointSaved& event) {
  Trial* trial = ReportedBy(turn, event.worker, event.trial);
  const Checkpoint saved{event.epoch, event.digest, event.size_bytes, event.step};
  if (trial == nullptr || PlaceOf(saved) <= std::pair<int, int64_t>(0, 0) ||
      PlaceOf(saved) < PlaceOf(trial->latest)) {
    return;
  }
  // One that takes the other's place is the same work done again.
  if (trial->latest.exists() && PlaceOf(saved) != PlaceOf(trial->latest)) {
    trial->older.push_back(trial->latest);
  }
  trial->latest = saved;
  RetainCheckpoints(turn.state.sweeps.at(trial->sweep_id).spec, *trial);
}

void Handle(Turn& turn, const CheckpointsDropped& event) {
  const std::set<std::string> dropped(event.digests.begin(), event.digests.end());
  for (auto& [id, trial] : turn.state.trials) {
    std::erase_if(trial.older, [&](const Checkpoint& one) {
      return dropped.contains(one.digest) && one.digest != trial.best.digest;
    });
    if (HasEnded(trial.state) && dropped.contains(trial.latest.digest) &&
        trial.latest.digest != trial.best.digest) {
      trial.latest = {};
    }
  }
}

}  // namespace mead::core
