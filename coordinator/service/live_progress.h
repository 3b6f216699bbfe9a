// What is known of running trials only while they run: the figures of the epoch
// in progress, and the last epoch's metrics.
//
// Soft state: it is never in the journal, and a coordinator that comes back
// learns it anew (last metrics from the store, the rest from the workers).
//
// Thread: every method may be called from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/core/event.h"
#include "mead/v1/sweep.pb.h"

namespace mead::service {

using MetricMap = std::map<std::string, double>;

class LiveProgress {
 public:
  // Rank 0's figures. An older attempt's never replace a newer one's.
  void SetProgress(const core::TrialRef& trial, const v1::Progress& progress);
  // Nothing if the newest figures are of another attempt.
  [[nodiscard]] std::optional<v1::Progress> GetProgress(const core::TrialRef& trial) const;

  void SetLastMetrics(const std::string& trial_id, MetricMap metrics);
  // What was read back from the store: never replaces what has been reported since.
  void RememberLastMetrics(const std::string& trial_id, MetricMap metrics);
  [[nodiscard]] std::optional<MetricMap> GetLastMetrics(const std::string& trial_id) const;

  // Forgets the progress of a trial whose attempt has ended; its last metrics stay.
  void Forget(const std::string& trial_id);

  // Rises with every change of a figure that people watch.
  [[nodiscard]] uint64_t version() const { return version_.load(std::memory_order_relaxed); }

 private:
  struct Figures {
    int attempt = 0;
    v1::Progress progress;
  };

  mutable absl::Mutex mu_;
  std::map<std::string, Figures> progress_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, MetricMap> metrics_ ABSL_GUARDED_BY(mu_);
  std::atomic<uint64_t> version_ = 0;
};

}  // namespace mead::service
