// What can happen to the cluster. An event is the only input of Step(); the
// journal is the sequence of events, so each must hold all that Step() needs.
//
// Units: Event::at is microseconds since the Unix epoch, and the only time.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "coordinator/core/spec.h"

namespace mead::core {

using TimeMicros = int64_t;

// Tunables that Step() depends on, so changing one is an event.
struct Config {
  TimeMicros start_timeout = 600'000'000;
  // Wait before a restart after an infrastructure failure; doubles with each
  // failure since the last finished epoch.
  TimeMicros first_backoff = 1'000'000;
  TimeMicros max_backoff = 60'000'000;
  bool operator==(const Config&) const = default;
};
// The coordinator has (re)started with other tunables.
struct Configured {
  Config config;
  bool operator==(const Configured&) const = default;
};

// kPreempted: its worker was asked to end, and nobody is to blame.
enum class FailureKind { kNone, kUserError, kOutOfMemory, kInfrastructure, kPreempted };

// One attempt of one trial. Attempts count from 1.
struct TrialRef {
  std::string trial_id;
  int attempt = 0;
  bool operator==(const TrialRef&) const = default;
};

// Who says it. Step() drops what comes from any but the current incarnation.
struct WorkerRef {
  std::string worker_id;
  uint64_t incarnation = 0;
  bool operator==(const WorkerRef&) const = default;
};

struct DatasetCreated {
  std::string name;
  std::string manifest_digest;
  uint64_t train_samples = 0;
  std::string encoded;  // mead.v1.Dataset, serialised
  bool operator==(const DatasetCreated&) const = default;
};
struct DatasetDeleted {
  std::string name;
  bool operator==(const DatasetDeleted&) const = default;
};

struct SweepSubmitted {
  std::string sweep_id;
  std::string request_id;
  SweepSpec spec;
  bool operator==(const SweepSubmitted&) const = default;
};
struct SweepStopRequested {
  std::string sweep_id;
  bool operator==(const SweepStopRequested&) const = default;
};
struct TrialStopRequested {
  std::string trial_id;
  bool operator==(const TrialStopRequested&) const = default;
};

// A member that a worker still runs, or that has ended while its MemberExited is
// not acknowledged yet (then that report follows).
struct HeldMember {
  TrialRef trial;
  int rank = 0;
  int slot = 0;
  bool ended = false;
  bool operator==(const HeldMember&) const = default;
};
// A worker's process has connected: for the first time, again after a lost
// stream (same instance: it keeps its incarnation unless it had been declared
// lost, and members that it no longer holds are lost), or as a new process (a new
// incarnation; all members of the old one are lost).
struct WorkerRegistered {
  std::string worker_id;
  std::string instance_id;
  std::string address;
  std::string version;
  Accelerator accelerator = Accelerator::kCpu;
  std::string device;
  int slots = 0;
  std::vector<HeldMember> held;
  bool operator==(const WorkerRegistered&) const = default;
};
// Its lease has run out, or a newer process has taken its name.
struct WorkerLost {
  WorkerRef worker;
  std::string reason;
  bool operator==(const WorkerLost&) const = default;
};
// It is being stopped: it hands back what it runs and takes nothing new.
struct WorkerDraining {
  WorkerRef worker;
  bool operator==(const WorkerDraining&) const = default;
};

struct MemberReady {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  std::string rendezvous;  // rank 0 only
  bool operator==(const MemberReady&) const = default;
};
struct EpochReported {
  WorkerRef worker;
  TrialRef trial;
  int epoch = 0;  // from 1
  double objective = 0;
  bool operator==(const EpochReported&) const = default;
};
struct CheckpointSaved {
  WorkerRef worker;
  TrialRef trial;
  int epoch = 0;  // the last that had ended
  std::string digest;
  uint64_t size_bytes = 0;
  int64_t step = 0;  // done of the epoch after it
  bool operator==(const CheckpointSaved&) const = default;
};
// What the model said of the validation split after an epoch is stored.
struct PredictionsSaved {
  WorkerRef worker;
  TrialRef trial;
  int epoch = 0;
  std::string digest;
  uint64_t size_bytes = 0;
  bool operator==(const PredictionsSaved&) const = default;
};
// The rank has ended and its slot is free.
struct MemberExited {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  bool succeeded = false;
  FailureKind kind = FailureKind::kNone;
  std::string message;
  // What it was to go on from is damaged or missing.
  bool checkpoint_damaged = false;
  // All ranks have agreed to end themselves, after a checkpoint that rank 0 stores.
  bool yielded = false;
  bool operator==(const MemberExited&) const = default;
};
// Room is needed: nothing refers to these any longer, but a best epoch's or a live trial's
// latest stays.
struct CheckpointsDropped {
  std::vector<std::string> digests;
  bool operator==(const CheckpointsDropped&) const = default;
};
// A deadline in the state (NextDeadline) has passed.
struct Tick {
  bool operator==(const Tick&) const = default;
};

struct Event {
  TimeMicros at = 0;
  std::variant<Configured, DatasetCreated, DatasetDeleted, SweepSubmitted, SweepStopRequested,
               TrialStopRequested, WorkerRegistered, WorkerLost, MemberReady, EpochReported,
               CheckpointSaved, MemberExited, Tick, CheckpointsDropped, PredictionsSaved,
               WorkerDraining>
      body;
  bool operator==(const Event&) const = default;
};

}  // namespace mead::core
