// What the coordinator must not forget: the journal of events, snapshots of the
// state, and the rows that came with reports.
//
// Append() is the coordinator's only promise: when it has returned OK, its
// events, rows and cursors are on disk, all of them together; when it has not,
// none of them is. SaveSnapshot() only makes the next start quicker.
//
// Thread: Append, SaveSnapshot, LoadState and LoadCursors belong to the core
//   thread; queries may come from any thread, at the same time.
// Errors: RESOURCE_EXHAUSTED (disk full), DATA_LOSS (damaged or foreign file),
//   FAILED_PRECONDITION (written by a newer version), UNAVAILABLE (another
//   process holds the file), each with a remedy in the message.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"
#include "coordinator/store/rows.h"

namespace mead::store {

class Store {
 public:
  // The SQLite store in `dir` (made if missing), file mead.db.
  // Errors: as above, and FAILED_PRECONDITION if another coordinator uses `dir`.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Store>> Open(
      const std::filesystem::path& dir);

  virtual ~Store() = default;

  // The newest snapshot with every later event stepped over it; a new store's
  // state is the default one.
  [[nodiscard]] virtual absl::StatusOr<core::ClusterState> LoadState() = 0;
  [[nodiscard]] virtual absl::StatusOr<Cursors> LoadCursors() = 0;

  // One transaction. `cursors` holds the changed ones; 0 forgets an instance.
  [[nodiscard]] virtual absl::Status Append(std::span<const core::Event> events, const Rows& rows,
                                            const Cursors& cursors) = 0;
  // `state` must be the state after every event appended so far.
  [[nodiscard]] virtual absl::Status SaveSnapshot(const core::ClusterState& state) = 0;

  // Events appended since the store was made.
  virtual uint64_t event_count() const = 0;
  // Events that a start now would have to replay.
  virtual uint64_t events_since_snapshot() const = 0;

  // In order of epoch, step, name; every name if `names` is empty.
  [[nodiscard]] virtual absl::StatusOr<std::vector<MetricRow>> Metrics(
      const std::string& trial_id, std::span<const std::string> names) = 0;
  // Errors: NOT_FOUND.
  [[nodiscard]] virtual absl::StatusOr<ConfusionRow> Confusion(const std::string& trial_id,
                                                               int epoch) = 0;
  // Ascending.
  [[nodiscard]] virtual absl::StatusOr<std::vector<int>> ConfusionEpochs(
      const std::string& trial_id) = 0;
  // Up to `limit` lines whose id is above `after_id` (0: from the first). A store
  // may forget the oldest lines of a trial that wrote very many.
  [[nodiscard]] virtual absl::StatusOr<std::vector<LogRow>> Logs(const std::string& trial_id,
                                                                 int64_t after_id, int limit) = 0;
};

}  // namespace mead::store
