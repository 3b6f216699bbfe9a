#include "worker/train/comm/roster.h"

#include <algorithm>

namespace mead::train {

Roster::Roster(int rank, int world_size, Time now)
    : rank_(rank), entries_(static_cast<size_t>(world_size), Entry{.heard = now, .ended = {}}) {}

void Roster::Heard(int rank, int64_t progress, Time at) {
  if (rank == rank_ || rank < 0 || rank >= world_size()) return;
  Entry& entry = entries_[static_cast<size_t>(rank)];
  if (entry.ended) return;
  entry.progress = std::max(entry.progress, progress);
  entry.heard = std::max(entry.heard, at);
}

void Roster::Ended(int rank, Time at) {
  if (rank == rank_ || rank < 0 || rank >= world_size()) return;
  Entry& entry = entries_[static_cast<size_t>(rank)];
  if (!entry.ended) entry.ended = at;
}

void Roster::Accuse(Accusation accusation) {
  if (!accusation_) accusation_ = accusation;
}

std::optional<int> Roster::EndedBy(Time when) const {
  for (int rank = 0; rank < world_size(); ++rank) {
    if (entry(rank).ended && *entry(rank).ended <= when) return rank;
  }
  return std::nullopt;
}

Roster::Suspect Roster::Blame(Time now, std::chrono::milliseconds silence, int64_t progress) const {
  if (const std::optional<int> ended = EndedBy(now)) {
    return {.rank = *ended, .why = "the process of rank " + std::to_string(*ended) + " has ended"};
  }
  const auto is_silent = [&](int rank) { return now - entry(rank).heard > silence; };
  // The others are heard of through rank 0, so if that is silent, they seem so, too.
  int silent = rank_ != 0 && is_silent(0) ? 0 : -1;
  int behind = -1;
  for (int rank = 0; rank < world_size(); ++rank) {
    if (rank == rank_) continue;
    const Entry& other = entry(rank);
    if (silent < 0 && is_silent(rank)) silent = rank;
    if (other.progress < progress && (behind < 0 || other.progress < entry(behind).progress)) {
      behind = rank;
    }
  }
  if (silent >= 0) {
    const auto unheard =
        std::chrono::duration_cast<std::chrono::milliseconds>(now - entry(silent).heard);
    return {.rank = silent,
            .why = "rank " + std::to_string(silent) + " has given no sign of life for " +
                   std::to_string(unheard.count()) +
                   " ms: its process is stopped, or its machine cannot be reached"};
  }
  if (behind >= 0) {
    return {.rank = behind,
            .why = "rank " + std::to_string(behind) + " is alive and has not come: it has begun " +
                   std::to_string(progress - entry(behind).progress) +
                   " steps or sums less than this rank"};
  }
  return {.rank = -1,
          .why = "every rank is alive and has come: look at the GPUs and the network between them"};
}

}  // namespace mead::train
