#include "coordinator/service/checkpoint_janitor.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/log.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

std::vector<std::string> Unreferenced(const core::ClusterState& state,
                                      const std::vector<std::string>& digests) {
  std::set<std::string> unused(digests.begin(), digests.end());
  unused.erase("");
  for (const auto& [id, trial] : state.trials) {
    if (unused.empty()) return {};
    unused.erase(trial.latest.digest);
    unused.erase(trial.best.digest);
    for (const core::Checkpoint& one : trial.older) unused.erase(one.digest);
    unused.erase(trial.latest_predictions.digest);
    unused.erase(trial.best_predictions.digest);
  }
  for (const auto& [id, sweep] : state.sweeps) {
    if (unused.empty()) return {};
    v1::SweepSpec spec;
    if (!spec.ParseFromString(sweep.spec.encoded)) return {};
    unused.erase(spec.train().weights_artifact());
  }
  for (const auto& [name, dataset] : state.datasets) unused.erase(dataset.manifest_digest);
  return {unused.begin(), unused.end()};
}

Excess OverQuota(const core::ClusterState& state, uint64_t quota_bytes) {
  std::map<std::string, uint64_t> stored;  // bytes by digest: the same file counts once
  std::set<std::string> must_stay;
  std::vector<const core::Trial*> ended;
  std::vector<const core::Trial*> live;
  for (const auto& [id, trial] : state.trials) {
    for (const core::Checkpoint& one : trial.older) stored[one.digest] = one.size_bytes;
    stored[trial.latest.digest] = trial.latest.size_bytes;
    stored[trial.best.digest] = trial.best.size_bytes;
    must_stay.insert(trial.best.digest);
    const bool over = trial.end_time > 0;
    if (!over) must_stay.insert(trial.latest.digest);
    (over ? ended : live).push_back(&trial);
  }
  stored.erase("");
  Excess excess;
  for (const auto& [digest, bytes] : stored) excess.left_bytes += bytes;
  std::stable_sort(ended.begin(), ended.end(), [](const core::Trial* a, const core::Trial* b) {
    return a->end_time < b->end_time;
  });
  const auto let_go = [&](const core::Checkpoint& one) {
    const auto found = stored.find(one.digest);
    if (excess.left_bytes <= quota_bytes || found == stored.end() ||
        must_stay.contains(one.digest)) {
      return;
    }
    excess.digests.push_back(one.digest);
    excess.freed_bytes += found->second;
    excess.left_bytes -= found->second;
    stored.erase(found);
  };
  for (const auto* trials : {&ended, &live}) {
    for (const core::Trial* trial : *trials) {
      for (const core::Checkpoint& one : trial->older) let_go(one);
      let_go(trial->latest);
    }
  }
  return excess;
}

void RemoveUnreferenced(const core::ClusterState& state, const std::vector<std::string>& digests,
                        store::ArtifactStore& artifacts) {
  for (const std::string& digest : Unreferenced(state, digests)) {
    if (const absl::Status status = artifacts.Remove(digest); !status.ok()) {
      Log(LogLevel::kWarning,
          absl::StrCat("cannot remove the superseded artefact ", digest, ": ", status.message()));
    }
  }
}

}  // namespace mead::service
