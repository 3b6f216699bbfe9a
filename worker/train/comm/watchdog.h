// When a rank stops waiting for its device, and whom it blames: pure.
//
// Work on a device may hold collectives, of a recorded step too, that never end when a
// peer is gone. So the host does not wait: it looks, again and again, at the work, at
// the transport and at the roster, and each look is judged here.
// Thread: not thread-safe.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "worker/train/comm/roster.h"

namespace mead::train {

class Watchdog {
 public:
  using Time = Roster::Time;

  // What is seen at one moment.
  struct Sight {
    bool passed = false;   // the work has ended
    std::string error;     // of the transport; "": none
    int64_t progress = 0;  // this rank's
  };
  struct Verdict {
    enum class Kind { kGoOn, kDone, kLost };
    Kind kind = Kind::kGoOn;
    int rank = -1;    // of kLost: who is to blame, if anybody
    std::string why;  // of kLost, in words
  };

  // A peer that has left after the last collective is no loss: what it was needed for
  // ends within this time. NCCL's error is often there before the peer's end is known.
  static std::chrono::milliseconds Grace(std::chrono::milliseconds timeout);

  // started: of the waiting.
  Watchdog(std::chrono::milliseconds timeout, Time started);

  Verdict Look(const Sight& sight, const Roster& roster, Time now);

 private:
  Verdict Lost(const Sight& sight, const Roster& roster, Time now, const std::string& what) const;

  const std::chrono::milliseconds timeout_;
  const Time started_;
  std::optional<Time> error_since_;
};

}  // namespace mead::train
