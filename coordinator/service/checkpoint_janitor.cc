#include "coordinator/service/checkpoint_janitor.h"

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
