// The cluster's state: plain data, changed only by Step().
//
// Containers are ordered, so that a walk over them is the same in every run.
// Thread: the core thread owns the only mutable instance.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "coordinator/core/event.h"
#include "coordinator/core/spec.h"

namespace mead::core {

// kStopping: the attempt is being ended, because a stop was asked for or a member
// failed; what comes next is decided when the last member is gone.
enum class TrialState { kQueued, kStarting, kRunning, kStopping, kSucceeded, kFailed, kStopped };
enum class SweepState { kRunning, kStopping, kSucceeded, kFailed, kStopped };
enum class SlotState { kIdle, kReserved, kBusy, kDraining, kLost };

struct Dataset {
  std::string name;
  std::string manifest_digest;
  uint64_t train_samples = 0;
  std::string encoded;
  bool operator==(const Dataset&) const = default;
};

struct Slot {
  SlotState state = SlotState::kIdle;
  // Whose slot it is unless idle or lost.
  TrialRef trial;
  int rank = 0;
  bool operator==(const Slot&) const = default;
};

struct Worker {
  std::string id;
  std::string instance_id;
  uint64_t incarnation = 0;
  std::string address;
  std::string version;
  Accelerator accelerator = Accelerator::kCpu;
  std::string device;
  bool lost = false;
  TimeMicros lost_time = 0;
  std::vector<Slot> slots;
  bool draining = false;  // no new members
  bool operator==(const Worker&) const = default;
};

struct Checkpoint {
  int epoch = 0;       // the last that had ended
  std::string digest;  // empty: none
  uint64_t size_bytes = 0;
  int64_t step = 0;  // done of the epoch after it
  bool exists() const { return !digest.empty(); }
  bool operator==(const Checkpoint&) const = default;
};

// What the model said of the validation split after an epoch.
struct Predictions {
  int epoch = 0;  // 0: none
  std::string digest;
  uint64_t size_bytes = 0;
  bool operator==(const Predictions&) const = default;
};

// A rank's place in the gang of the current attempt.
struct GangMember {
  WorkerRef worker;
  int slot = 0;
  bool ready = false;
  bool exited = false;  // or lost with its worker
  bool succeeded = false;
  bool operator==(const GangMember&) const = default;
};

struct Trial {
  std::string id;  // TrialId() of folds.h
  std::string sweep_id;
  int index = 0;  // from 0
  TrialState state = TrialState::kQueued;
  std::vector<Param> params;
  int attempt = 0;
  std::vector<GangMember> gang;  // by rank; empty unless an attempt holds slots
  std::string rendezvous;
  TimeMicros start_deadline = 0;  // 0: none
  // A restart waits (backoff) until then; 0: it need not.
  TimeMicros not_before = 0;
  int epochs_done = 0;
  // The objective by epoch, finite values only. Epochs after the checkpoint that
  // a restart goes on from are forgotten with the attempt that ran them.
  std::map<int, double> objectives;
  bool has_best = false;
  double best_value = 0;
  int best_epoch = 0;
  Checkpoint latest;
  Checkpoint best;
  // What else is kept, earliest first: the last ones before `latest`, and the best epochs'.
  std::vector<Checkpoint> older;
  // An attempt could not go on from `latest`: the next must not try.
  bool latest_damaged = false;
  // Restarts spent, by kind of failure.
  int user_error_retries = 0;
  int out_of_memory_retries = 0;
  int infrastructure_retries = 0;
  // Infrastructure failures since the last finished epoch; sets the backoff.
  int failures_in_a_row = 0;
  bool stop_requested = false;
  // What ended the last attempt that failed, and how it was put into words.
  FailureKind failure = FailureKind::kNone;
  std::string failure_message;
  // Why it waits, restarted or failed.
  std::string message;
  TimeMicros start_time = 0;
  TimeMicros end_time = 0;
  Predictions latest_predictions;
  Predictions best_predictions;
  // A gang that ends itself is ended then; 0: it does not.
  TimeMicros yield_deadline = 0;
  int preemptions = 0;  // restarts after them
  bool operator==(const Trial&) const = default;
};

struct Sweep {
  std::string id;
  std::string request_id;
  SweepSpec spec;
  SweepState state = SweepState::kRunning;
  // Trials that the search will make in all; trial_ids has those made so far
  // (they are made as `parallel` allows).
  int total_trials = 0;
  std::vector<std::string> trial_ids;  // by index
  std::set<int> live_trials;           // indices of trials that have not ended
  TimeMicros create_time = 0;
  TimeMicros end_time = 0;
  std::string best_trial_id;
  std::string message;
  bool operator==(const Sweep&) const = default;
};

struct ClusterState {
  Config config;
  uint64_t next_incarnation = 1;
  TimeMicros last_event_time = 0;
  // Not later than the earliest start_deadline or future not_before; 0: none. May
  // be early, as clearing a deadline leaves it.
  TimeMicros next_deadline = 0;
  std::map<std::string, Dataset> datasets;
  std::map<std::string, Worker> workers;
  std::map<std::string, Sweep> sweeps;
  // In order of submission; scheduling is first come, first served.
  std::vector<std::string> sweep_order;
  std::map<std::string, Trial> trials;
  // request id -> sweep id, so that a repeated submission finds its sweep.
  std::map<std::string, std::string> requests;
  bool operator==(const ClusterState&) const = default;
};

}  // namespace mead::core
