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

enum class FailureKind { kNone, kUserError, kOutOfMemory, kInfrastructure };

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
};
struct DatasetDeleted {
  std::string name;
};

struct SweepSubmitted {
  std::string sweep_id;
  std::string request_id;
  SweepSpec spec;
};
struct SweepStopRequested {
  std::string sweep_id;
};
struct TrialStopRequested {
  std::string trial_id;
};

// A member that a worker says it still runs.
struct HeldMember {
  TrialRef trial;
  int rank = 0;
  int slot = 0;
};
// A worker's process has connected: for the first time, again after a lost
// stream (same instance), or as a new process (then its members are lost).
struct WorkerRegistered {
  std::string worker_id;
  std::string instance_id;
  std::string address;
  std::string version;
  Accelerator accelerator = Accelerator::kCpu;
  std::string device;
  int slots = 0;
  std::vector<HeldMember> held;
};
// Its lease has run out, or a newer process has taken its name.
struct WorkerLost {
  WorkerRef worker;
  std::string reason;
};

struct MemberReady {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  std::string rendezvous;  // rank 0 only
};
struct EpochReported {
  WorkerRef worker;
  TrialRef trial;
  int epoch = 0;  // from 1
  double objective = 0;
};
struct CheckpointSaved {
  WorkerRef worker;
  TrialRef trial;
  int epoch = 0;
  std::string digest;
  uint64_t size_bytes = 0;
};
// The rank has ended and its slot is free.
struct MemberExited {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  bool succeeded = false;
  FailureKind kind = FailureKind::kNone;
  std::string message;
};
// A deadline in the state (NextDeadline) has passed.
struct Tick {};

struct Event {
  TimeMicros at = 0;
  std::variant<DatasetCreated, DatasetDeleted, SweepSubmitted, SweepStopRequested,
               TrialStopRequested, WorkerRegistered, WorkerLost, MemberReady, EpochReported,
               CheckpointSaved, MemberExited, Tick>
      body;
};

}  // namespace mead::core
