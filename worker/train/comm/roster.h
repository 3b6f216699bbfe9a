// What a rank knows of the others of its gang, and so whom it blames: pure.
//
// Progress counts what a rank has begun of the things that all ranks do alike, so the
// rank that the others wait for is the one with the least.
// Thread: not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mead::train {

class Roster {
 public:
  using Time = std::chrono::steady_clock::time_point;

  struct Entry {
    int64_t progress = 0;
    Time heard{};               // when it last gave a sign of life
    std::optional<Time> ended;  // its process has
  };
  // Rank `by` has given up because of `rank`.
  struct Accusation {
    int rank = 0;
    int by = 0;
  };
  struct Suspect {
    int rank = -1;    // none: nobody is behind
    std::string why;  // in words, with the rank
  };

  Roster(int rank, int world_size, Time now);

  // Entries of this rank itself, and after its end another's, do not change by news.
  void Heard(int rank, int64_t progress, Time at);
  void Ended(int rank, Time at);
  // The first is believed: who lost a peer ends, too, and is then no cause.
  void Accuse(Accusation accusation);

  const Entry& entry(int rank) const { return entries_[static_cast<size_t>(rank)]; }
  int world_size() const { return static_cast<int>(entries_.size()); }
  const std::optional<Accusation>& accusation() const { return accusation_; }
  // One whose process had ended by `when`.
  std::optional<int> EndedBy(Time when) const;

  // For a rank that has itself begun `progress` and waits in vain. silence: without a
  // sign of life for longer, a process is taken to be stopped or cut off.
  Suspect Blame(Time now, std::chrono::milliseconds silence, int64_t progress) const;

 private:
  const int rank_;
  std::vector<Entry> entries_;
  std::optional<Accusation> accusation_;
};

}  // namespace mead::train
