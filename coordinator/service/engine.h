// The core thread: the shell around core::Step.
//
// Each round it takes every waiting event (group commit), steps them, appends
// them to the journal in one transaction, publishes a snapshot, and only then
// carries out the commands and completes the callers. If the append fails the
// process logs why and exits with 74 (EX_IOERR) before anything was acted on;
// the restarted coordinator replays what was acknowledged.
//
// It also makes the events that nobody sends: WorkerLost when a lease has run
// out, Tick when a deadline in the state has passed. Heartbeats are soft state;
// after a restart every lease starts anew, with a grace.
//
// Thread: every public method may be called from any thread, including from
//   commands, completions and subscribers, which run on the core thread and
//   must not block.
// Queue: at most kMaxQueued posts; beyond that a post completes with
//   RESOURCE_EXHAUSTED at once, on the caller's thread, and nothing of it happens.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/clock.h"
#include "coordinator/core/command.h"
#include "coordinator/core/event.h"
#include "coordinator/core/state.h"
#include "coordinator/store/store.h"

namespace mead::service {

struct EngineOptions {
  store::Store& store;  // must outlive the engine
  Clock& clock;
  core::Config config;
  absl::Duration lease = absl::Seconds(4);
  // The first lease after a restart: agents notice the restart only when they
  // try again, and a gang that trained on meanwhile must not be thrown away.
  absl::Duration restart_grace = absl::Seconds(15);
  // Called for every command once its cause is durable.
  std::function<void(const core::Command&)> on_command;
  // A snapshot is saved whenever a start would have to replay more than these.
  uint64_t snapshot_every_events = 2000;
};

using Body = decltype(core::Event::body);

// A report of an agent: an event, rows, or both.
struct WorkerReport {
  core::WorkerRef worker;
  std::string instance_id;
  // From 1 per instance; a sequence that is durable already is not applied
  // again. 0: may be applied twice.
  uint64_t sequence = 0;
  std::optional<Body> event = {};
  store::Rows rows = {};
};

class Engine {
 public:
  static constexpr size_t kMaxQueued = 1 << 17;

  // After the commit, with the state that it made (or, on an error, the current one).
  using Completion = std::function<void(const absl::Status&, const core::ClusterState&)>;

  // Loads the state (replay) and starts the core thread.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<Engine>> Create(EngineOptions options);
  // Takes in what was posted before, saves a snapshot, ends the thread. Later
  // posts complete with CANCELLED.
  ~Engine();

  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  void Post(Body body, Completion done = {});

  // OK once it is durable, for a repeated one too. ABORTED: the worker's
  // incarnation is over; nothing was applied. Rows of figures about another
  // attempt than the current one are dropped, log lines never.
  void PostReport(WorkerReport report, Completion done = {});

  // Renews the worker's lease; false if that incarnation has none (it is lost
  // or fenced: the agent must register again).
  bool Heartbeat(const core::WorkerRef& worker);
  // When the worker was last heard of; nullopt if it has no lease.
  std::optional<absl::Time> LastHeartbeat(const std::string& worker_id) const;

  std::shared_ptr<const core::ClusterState> snapshot() const;
  // Counts published snapshots: an unchanged version is an unchanged state.
  uint64_t version() const;

  // `changed` is called after each publication. When Unsubscribe has returned it
  // is not running and will not run again (from inside it: will not run again).
  // Call Unsubscribe without holding a lock that `changed` takes.
  int Subscribe(std::function<void()> changed);
  void Unsubscribe(int id);

  // The highest sequence of that instance that is durable; 0 if none.
  uint64_t AckedSequence(const std::string& instance_id) const;

  uint64_t journal_events() const;
  absl::Duration lease() const { return options_.lease; }
  Clock& clock() const { return options_.clock; }

 private:
  struct Item {
    std::variant<Body, WorkerReport> what;
    Completion done;
  };
  struct Lease {
    uint64_t incarnation = 0;
    absl::Time renewed;
    absl::Duration lasts;

    absl::Time end() const { return renewed + lasts; }
  };
  struct Round;

  Engine(EngineOptions options, core::ClusterState state, store::Cursors cursors);

  void Enqueue(Item item);
  void Run();
  // When the core thread has something to do though nobody posts.
  absl::Time NextWake() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  std::vector<core::WorkerLost> ExpiredLeases(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);
  void StepInto(Round& round, Body body);
  absl::Status ApplyReport(Round& round, WorkerReport report);
  void Commit(Round& round);
  void Publish(Round& round);
  void SaveSnapshot();

  const EngineOptions options_;
  // Added to the clock: time never goes backwards in the journal, even if the
  // machine's clock did while the coordinator was down.
  const absl::Duration time_offset_;

  // Core thread only.
  core::ClusterState state_;
  store::Cursors cursors_;
  core::TimeMicros last_tick_ = 0;

  mutable absl::Mutex mu_;
  absl::CondVar wake_;
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::deque<Item> queue_ ABSL_GUARDED_BY(mu_);
  std::map<std::string, Lease> leases_ ABSL_GUARDED_BY(mu_);  // by worker id
  store::Cursors acked_ ABSL_GUARDED_BY(mu_);
  std::shared_ptr<const core::ClusterState> snapshot_ ABSL_GUARDED_BY(mu_);
  std::optional<core::TimeMicros> next_deadline_ ABSL_GUARDED_BY(mu_);
  uint64_t version_ ABSL_GUARDED_BY(mu_) = 0;
  uint64_t journal_events_ ABSL_GUARDED_BY(mu_) = 0;

  // Held while subscribers run, so that Unsubscribe waits for them; recursive,
  // so that one may unsubscribe itself. Guards the two below.
  std::recursive_mutex subscribers_mu_;
  int next_subscriber_ = 1;
  std::map<int, std::shared_ptr<const std::function<void()>>> subscribers_;

  std::jthread thread_;
};

}  // namespace mead::service
