#include "coordinator/service/live_progress.h"

#include <utility>

namespace mead::service {

void LiveProgress::SetProgress(const core::TrialRef& trial, const v1::Progress& progress) {
  absl::MutexLock lock(&mu_);
  Figures& figures = progress_[trial.trial_id];
  if (trial.attempt < figures.attempt) return;
  figures = {trial.attempt, progress};
  ++version_;
}

std::optional<v1::Progress> LiveProgress::GetProgress(const core::TrialRef& trial) const {
  absl::MutexLock lock(&mu_);
  const auto it = progress_.find(trial.trial_id);
  if (it == progress_.end() || it->second.attempt != trial.attempt) return std::nullopt;
  return it->second.progress;
}

void LiveProgress::SetLastMetrics(const std::string& trial_id, MetricMap metrics) {
  absl::MutexLock lock(&mu_);
  metrics_[trial_id] = std::move(metrics);
  ++version_;
}

void LiveProgress::RememberLastMetrics(const std::string& trial_id, MetricMap metrics) {
  absl::MutexLock lock(&mu_);
  metrics_.try_emplace(trial_id, std::move(metrics));
}

std::optional<MetricMap> LiveProgress::GetLastMetrics(const std::string& trial_id) const {
  absl::MutexLock lock(&mu_);
  const auto it = metrics_.find(trial_id);
  if (it == metrics_.end()) return std::nullopt;
  return it->second;
}

void LiveProgress::Forget(const std::string& trial_id) {
  absl::MutexLock lock(&mu_);
  progress_.erase(trial_id);
}

}  // namespace mead::service
