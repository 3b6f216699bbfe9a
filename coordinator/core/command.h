// What Step() wants done. The shell carries commands out after the events that
// caused them are durable; a command that is lost (a dead worker, a crash) is
// made again by the events that follow.
#pragma once

#include <string>
#include <variant>

#include "coordinator/core/event.h"

namespace mead::core {

// Take a slot and get ready. Repeated when a worker reconnects without the member.
struct AssignMember {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  int world_size = 0;
  int slot = 0;
  // Empty: start from the weights, or from nothing.
  std::string resume_digest;
  int resume_epoch = 0;
  int64_t resume_step = 0;
  bool operator==(const AssignMember&) const = default;
};
// Repeated when a worker reconnects, as the first may have been lost: a member
// that has started ignores it.
struct StartMember {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  std::string rendezvous;
  bool operator==(const StartMember&) const = default;
};
// End the member's process and report MemberExited. Repeated when a worker
// reconnects; for a member that has ended there is nothing to do.
struct AbortMember {
  WorkerRef worker;
  TrialRef trial;
  int rank = 0;
  std::string reason;
  bool operator==(const AbortMember&) const = default;
};
// The worker's incarnation is over; tell it if it can still be reached.
struct FenceWorker {
  WorkerRef worker;
  std::string reason;
  bool operator==(const FenceWorker&) const = default;
};

using Command = std::variant<AssignMember, StartMember, AbortMember, FenceWorker>;

}  // namespace mead::core
