// Reports on their way to the coordinator.
//
// Sequenced reports (ready, epoch, checkpoint, logs, exited) are kept until the
// coordinator has acknowledged them as durable, and are sent again from the
// first unacknowledged one after a reconnect; the coordinator drops repeats by
// sequence. Progress is worth nothing once it is old: it is sent once, and the
// oldest goes when there is no room.
//
// Bound:  progress: max_progress reports. Logs: max_log_bytes unacknowledged;
//         AddLogs refuses more and the caller counts what it drops. The other
//         reports are a handful per epoch and are never dropped.
// Thread: thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "mead/v1/worker.pb.h"

namespace mead::agent {

struct OutboxOptions {
  size_t max_progress = 64;
  size_t max_log_bytes = 16u << 20;
};

class Outbox {
 public:
  explicit Outbox(OutboxOptions options = {}) : options_(options) {}

  // Queues a report under the next sequence, which is returned (from 1).
  uint64_t Add(v1::Report report);
  // Queues log lines under the next sequence; false when there is no room.
  [[nodiscard]] bool AddLogs(v1::Report report);
  // Queues a report that may be lost.
  void AddProgress(v1::Report report);

  // The next report to send on the current stream. Waits for one up to the
  // timeout; nullopt then, or at once when interrupted.
  std::optional<v1::Report> Next(absl::Duration timeout);
  // Makes a waiting Next() return.
  void Interrupt();

  // All reports up to the sequence are durable.
  void Ack(uint64_t sequence);
  // A new stream: everything after `acked` is sent again, from the oldest on.
  void Rewind(uint64_t acked);

  // Whether a sequence has been acknowledged.
  bool IsAcked(uint64_t sequence) const;
  // Sequenced reports that are not acknowledged yet.
  size_t unacked() const;
  // Waits until every sequenced report is acknowledged; false at the timeout.
  bool WaitUntilAcked(absl::Duration timeout);

 private:
  uint64_t AddLocked(v1::Report report) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void AckLocked(uint64_t sequence) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const OutboxOptions options_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  uint64_t last_sequence_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t acked_ ABSL_GUARDED_BY(mutex_) = 0;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
  // Unacknowledged, by sequence; the first `sent_` of them are on the stream.
  std::deque<v1::Report> kept_ ABSL_GUARDED_BY(mutex_);
  size_t sent_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t log_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<v1::Report> progress_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mead::agent
