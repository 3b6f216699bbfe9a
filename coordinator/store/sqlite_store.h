// The Store in one SQLite file (WAL, synchronous=FULL).
//
// Format: application_id "Mead", user_version 1. Events are numbered from 1
// without gaps; a snapshot's number is the last event that it includes.
// Bound: of each trial the newest kLogLinesKept log lines are kept, give or take
// kLogLinesPerPruning: a trainer that cannot stop talking must not fill the disk.
#pragma once

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/store/dir_lock.h"
#include "coordinator/store/sqlite_db.h"
#include "coordinator/store/store.h"

namespace mead::store {

class SqliteStore : public Store {
 public:
  // "Mead" in ASCII, where file(1) and sqlite3 look for it.
  static constexpr int64_t kApplicationId = 0x4d656164;
  static constexpr int64_t kFormat = 1;
  static constexpr int64_t kLogLinesKept = 50'000;
  static constexpr int64_t kLogLinesPerPruning = 5'000;

  [[nodiscard]] static absl::StatusOr<std::unique_ptr<SqliteStore>> Open(
      const std::filesystem::path& dir);

  absl::StatusOr<core::ClusterState> LoadState() override;
  absl::StatusOr<Cursors> LoadCursors() override;
  absl::Status Append(std::span<const core::Event> events, const Rows& rows,
                      const Cursors& cursors) override;
  absl::Status SaveSnapshot(const core::ClusterState& state) override;
  uint64_t event_count() const override { return event_count_.load(); }
  uint64_t events_since_snapshot() const override { return event_count_ - snapshot_at_; }

  absl::StatusOr<std::vector<MetricRow>> Metrics(const std::string& trial_id,
                                                 std::span<const std::string> names) override;
  absl::StatusOr<ConfusionRow> Confusion(const std::string& trial_id, int epoch) override;
  absl::StatusOr<std::vector<int>> ConfusionEpochs(const std::string& trial_id) override;
  absl::StatusOr<std::vector<LogRow>> Logs(const std::string& trial_id, int64_t after_id,
                                           int limit) override;

 private:
  explicit SqliteStore(DirLock lock) : lock_(std::move(lock)) {}

  absl::Status CheckOrMakeSchema(const std::filesystem::path& path);
  absl::Status PrepareStatements();
  absl::Status AppendAll(std::span<const core::Event> events, const Rows& rows,
                         const Cursors& cursors);
  absl::Status AppendLogs(const std::vector<LogRow>& logs);
  // Steps the events after number `after` over `state`.
  absl::Status Replay(int64_t after, core::ClusterState& state);

  const DirLock lock_;
  std::atomic<uint64_t> event_count_ = 0;
  std::atomic<uint64_t> snapshot_at_ = 0;

  // The core thread's.
  SqliteDb writer_;
  SqliteStatement begin_, commit_, rollback_;
  SqliteStatement insert_event_, insert_metric_, insert_confusion_, insert_log_;
  SqliteStatement prune_logs_, set_cursor_, drop_cursor_;
  std::map<std::string, int64_t> lines_since_pruning_;  // by trial

  // A connection of its own: in WAL mode a query neither waits for a commit nor
  // holds one up.
  absl::Mutex reader_mu_;
  SqliteDb reader_ ABSL_GUARDED_BY(reader_mu_);
};

}  // namespace mead::store
