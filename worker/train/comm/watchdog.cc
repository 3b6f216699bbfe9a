#include "worker/train/comm/watchdog.h"

#include <algorithm>

namespace mead::train {

std::chrono::milliseconds Watchdog::Grace(std::chrono::milliseconds timeout) {
  return std::min<std::chrono::milliseconds>(std::chrono::seconds(1), timeout / 4);
}

Watchdog::Watchdog(std::chrono::milliseconds timeout, Time started)
    : timeout_(timeout), started_(started) {}

Watchdog::Verdict Watchdog::Look(const Sight& sight, const Roster& roster, Time now) {
  if (sight.passed && sight.error.empty()) return {.kind = Verdict::Kind::kDone, .why = {}};
  if (const auto& accusation = roster.accusation()) {
    return {.kind = Verdict::Kind::kLost,
            .rank = accusation->rank,
            .why = "rank " + std::to_string(accusation->by) + " gave up because of " +
                   (accusation->rank < 0 ? "its transport"
                                         : "rank " + std::to_string(accusation->rank))};
  }
  if (roster.EndedBy(now - Grace(timeout_))) return Lost(sight, roster, now, "");
  if (!sight.error.empty()) {
    if (!error_since_) error_since_ = now;
    if (roster.EndedBy(now) || now - *error_since_ >= Grace(timeout_)) {
      return Lost(sight, roster, now, sight.error + "; ");
    }
    return {};
  }
  if (now - started_ >= timeout_) {
    return Lost(sight, roster, now, "waited " + std::to_string(timeout_.count()) + " ms in vain; ");
  }
  return {};
}

Watchdog::Verdict Watchdog::Lost(const Sight& sight, const Roster& roster, Time now,
                                 const std::string& what) const {
  const Roster::Suspect suspect = roster.Blame(now, timeout_ / 2, sight.progress);
  return {.kind = Verdict::Kind::kLost, .rank = suspect.rank, .why = what + suspect.why};
}

}  // namespace mead::train
