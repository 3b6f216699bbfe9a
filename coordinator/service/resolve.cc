#include "coordinator/service/resolve.h"

#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/near_names.h"
#include "coordinator/core/folds.h"
#include "coordinator/service/words.h"

namespace mead::service {
namespace {

constexpr size_t kShown = 5;

// The only entry whose key begins with the prefix, or is it.
template <class T>
absl::StatusOr<const T*> FindByPrefix(const std::map<std::string, T>& entries,
                                      std::string_view prefix, const char* what) {
  const std::string key(prefix);
  if (key.empty()) return absl::InvalidArgumentError(absl::StrCat("the ", what, "'s id is empty"));
  if (const auto exact = entries.find(key); exact != entries.end()) return &exact->second;
  const T* found = nullptr;
  std::vector<std::string> fitting;
  for (auto it = entries.lower_bound(key);
       it != entries.end() && it->first.starts_with(key) && fitting.size() <= kShown; ++it) {
    found = &it->second;
    fitting.push_back(it->first);
  }
  if (fitting.size() == 1) return found;
  if (!fitting.empty()) {
    const bool more = fitting.size() > kShown;
    if (more) fitting.pop_back();
    return absl::InvalidArgumentError(absl::StrCat("'", key, "' fits several ", what, "s: ",
                                                   absl::StrJoin(fitting, ", "),
                                                   more ? ", ..." : "", "; add characters"));
  }
  std::vector<std::string> keys;
  for (const auto& [id, entry] : entries) keys.push_back(id);
  return absl::NotFoundError(absl::StrCat("there is no ", what, " '", key, "'",
                                          DidYouMean(key, keys),
                                          keys.empty() ? "; none has been submitted yet" : ""));
}

absl::StatusOr<const core::Trial*> BestTrial(const core::ClusterState& state,
                                             const core::Sweep& sweep) {
  const std::string& id =
      sweep.trial_ids.size() == 1 ? sweep.trial_ids.front() : sweep.best_trial_id;
  if (const auto it = state.trials.find(id); it != state.trials.end()) return &it->second;
  return absl::NotFoundError(absl::StrCat("sweep ", sweep.id, " has no best trial yet: ",
                                          sweep.spec.fold_train_samples.empty()
                                              ? "none has reported its objective"
                                              : "no configuration's folds have all succeeded",
                                          "; name one of its ", sweep.trial_ids.size(),
                                          " trials, for example ", core::TrialId(sweep, 0)));
}

}  // namespace

absl::StatusOr<const core::Sweep*> FindSweep(const core::ClusterState& state,
                                             std::string_view id) {
  return FindByPrefix(state.sweeps, id, "sweep");
}

absl::StatusOr<const core::Trial*> FindTrial(const core::ClusterState& state,
                                             std::string_view id) {
  if (const auto exact = state.trials.find(std::string(id)); exact != state.trials.end()) {
    return &exact->second;
  }
  const size_t dash = id.rfind('-');
  if (dash == std::string_view::npos) {
    const auto sweep = FindSweep(state, id);
    if (!sweep.ok()) {
      if (absl::IsInvalidArgument(sweep.status())) return sweep.status();
      // Says "trial" rather than "sweep": that is what was asked for.
      return FindByPrefix(state.trials, id, "trial").status();
    }
    return BestTrial(state, **sweep);
  }
  if (const auto sweep = FindSweep(state, id.substr(0, dash)); sweep.ok()) {
    const std::string full = absl::StrCat((*sweep)->id, "-", std::string(id.substr(dash + 1)));
    if (const auto it = state.trials.find(full); it != state.trials.end()) return &it->second;
  }
  return FindByPrefix(state.trials, id, "trial");
}

absl::StatusOr<const core::Dataset*> FindDataset(const core::ClusterState& state,
                                                 std::string_view name) {
  const std::string key(name);
  if (const auto it = state.datasets.find(key); it != state.datasets.end()) return &it->second;
  std::vector<std::string> names;
  for (const auto& [known, dataset] : state.datasets) names.push_back(known);
  return absl::NotFoundError(absl::StrCat(
      "there is no data set '", key, "'",
      names.empty() ? "; add one with 'mead dataset add NAME PATH'" : NearOrKnown(key, names)));
}

}  // namespace mead::service
