// A Store without a disk, for tests of what stands on one. It fulfils the same
// conformance suite as the SQLite store, and can be told to fail.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/store.h"

namespace mead::testing {

// What would be on the disk. It outlives the stores that open it, as a file does.
struct MemoryDisk {
  std::vector<core::Event> events;
  std::map<uint64_t, core::ClusterState> snapshots;  // by events included
  std::map<std::tuple<std::string, int, int64_t, std::string>, store::MetricRow> metrics;
  std::map<std::pair<std::string, int>, store::ConfusionRow> confusion;
  std::vector<store::LogRow> logs;
  store::Cursors cursors;
  // What Append answers, unless OK; then nothing is kept.
  absl::Status append_error;
  int appends = 0;
};

class MemoryStore : public store::Store {
 public:
  explicit MemoryStore(std::shared_ptr<MemoryDisk> disk) : disk_(std::move(disk)) {}

  absl::StatusOr<core::ClusterState> LoadState() override;
  absl::StatusOr<store::Cursors> LoadCursors() override;
  absl::Status Append(std::span<const core::Event> events, const store::Rows& rows,
                      const store::Cursors& cursors) override;
  absl::Status SaveSnapshot(const core::ClusterState& state) override;
  uint64_t event_count() const override;
  uint64_t events_since_snapshot() const override;
  absl::StatusOr<std::vector<store::MetricRow>> Metrics(
      const std::string& trial_id, std::span<const std::string> names) override;
  absl::StatusOr<store::ConfusionRow> Confusion(const std::string& trial_id, int epoch) override;
  absl::StatusOr<std::vector<int>> ConfusionEpochs(const std::string& trial_id) override;
  absl::StatusOr<std::vector<store::LogRow>> Logs(const std::string& trial_id, int64_t after_id,
                                                  int limit) override;

 private:
  mutable absl::Mutex mu_;
  const std::shared_ptr<MemoryDisk> disk_ ABSL_PT_GUARDED_BY(mu_);
};

}  // namespace mead::testing
