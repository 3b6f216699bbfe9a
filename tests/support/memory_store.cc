#include "tests/support/memory_store.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "coordinator/core/step.h"

namespace mead::testing {

absl::StatusOr<core::ClusterState> MemoryStore::LoadState() {
  absl::MutexLock lock(&mu_);
  core::ClusterState state;
  uint64_t done = 0;
  if (!disk_->snapshots.empty()) std::tie(done, state) = *disk_->snapshots.rbegin();
  for (; done < disk_->events.size(); ++done) (void)core::Step(state, disk_->events[done]);
  return state;
}

absl::StatusOr<store::Cursors> MemoryStore::LoadCursors() {
  absl::MutexLock lock(&mu_);
  return disk_->cursors;
}

absl::Status MemoryStore::Append(std::span<const core::Event> events, const store::Rows& rows,
                                 const store::Cursors& cursors) {
  absl::MutexLock lock(&mu_);
  if (!disk_->append_error.ok()) return disk_->append_error;
  ++disk_->appends;
  disk_->events.insert(disk_->events.end(), events.begin(), events.end());
  for (const store::MetricRow& row : rows.metrics) {
    disk_->metrics[{row.trial_id, row.epoch, row.step, row.name}] = row;
  }
  for (const store::ConfusionRow& row : rows.confusion) {
    disk_->confusion[{row.trial_id, row.epoch}] = row;
  }
  for (const store::LogRow& row : rows.logs) {
    disk_->logs.push_back(row);
    disk_->logs.back().id = static_cast<int64_t>(disk_->logs.size());
  }
  for (const auto& [instance_id, sequence] : cursors) {
    if (sequence == 0) {
      disk_->cursors.erase(instance_id);
    } else {
      disk_->cursors[instance_id] = sequence;
    }
  }
  return absl::OkStatus();
}

absl::Status MemoryStore::SaveSnapshot(const core::ClusterState& state) {
  absl::MutexLock lock(&mu_);
  disk_->snapshots[disk_->events.size()] = state;
  return absl::OkStatus();
}

uint64_t MemoryStore::event_count() const {
  absl::MutexLock lock(&mu_);
  return disk_->events.size();
}

uint64_t MemoryStore::events_since_snapshot() const {
  absl::MutexLock lock(&mu_);
  const uint64_t at = disk_->snapshots.empty() ? 0 : disk_->snapshots.rbegin()->first;
  return disk_->events.size() - at;
}

absl::StatusOr<std::vector<store::MetricRow>> MemoryStore::Metrics(
    const std::string& trial_id, std::span<const std::string> names) {
  absl::MutexLock lock(&mu_);
  std::vector<store::MetricRow> rows;
  for (const auto& [key, row] : disk_->metrics) {
    if (row.trial_id != trial_id) continue;
    if (names.empty() || std::find(names.begin(), names.end(), row.name) != names.end()) {
      rows.push_back(row);
    }
  }
  return rows;
}

absl::StatusOr<store::ConfusionRow> MemoryStore::Confusion(const std::string& trial_id, int epoch) {
  absl::MutexLock lock(&mu_);
  const auto it = disk_->confusion.find({trial_id, epoch});
  if (it == disk_->confusion.end()) {
    return absl::NotFoundError(absl::StrCat("no confusion matrix of ", trial_id));
  }
  return it->second;
}

absl::StatusOr<std::vector<int>> MemoryStore::ConfusionEpochs(const std::string& trial_id) {
  absl::MutexLock lock(&mu_);
  std::vector<int> epochs;
  for (const auto& [key, row] : disk_->confusion) {
    if (key.first == trial_id) epochs.push_back(key.second);
  }
  return epochs;
}

absl::StatusOr<std::vector<store::LogRow>> MemoryStore::Logs(const std::string& trial_id,
                                                             int64_t after_id, int limit) {
  absl::MutexLock lock(&mu_);
  std::vector<store::LogRow> rows;
  for (const store::LogRow& row : disk_->logs) {
    if (row.trial_id == trial_id && row.id > after_id && rows.size() < static_cast<size_t>(limit)) {
      rows.push_back(row);
    }
  }
  return rows;
}

}  // namespace mead::testing
