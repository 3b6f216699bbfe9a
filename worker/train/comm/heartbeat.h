// Tells the ranks of a gang of one another: who lives, who has ended, who is how far.
//
// NCCL has no word for which peer is gone, and nothing of ours runs on the host while
// a recorded step is repeated. So each rank keeps a connection to rank 0 and a thread
// that tells over it, a few times per timeout, how far the rank is; rank 0 answers
// with what it knows of all. A connection closes with its process, so an end is known
// at once; a process that is stopped falls silent.
//
// Message, in either direction: int64 [2 + 2 * world_size]: who is accused and by whom
// (-1: nobody), then by rank its progress and for how many ms it has been silent (-1:
// it has ended). Rank 0 takes only the sender's own progress from it.
// Thread: any.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/comm/descriptor.h"
#include "worker/train/comm/roster.h"

namespace mead::train {

class Heartbeat {
 public:
  // All ranks of a gang call it, each with its own store.
  // Errors: kPeerLost (not every rank came in time), kUserError (the host is no address
  //   of this machine).
  Heartbeat(const CommunicatorOptions& options, RendezvousStore& store);
  // Closes the connections: for the others this rank has ended.
  ~Heartbeat();

  // This rank begins one more of the things that all do.
  void Begin() { ++progress_; }
  int64_t progress() const { return progress_; }
  // Tells all ranks, at once, that this one gives up because of `rank` (-1: it does not
  // know whom).
  void Accuse(int rank);

  // f(roster), while nothing changes it.
  template <typename F>
  auto Ask(F&& f) {
    const std::lock_guard lock(mutex_);
    return f(static_cast<const Roster&>(roster_));
  }

 private:
  struct Link {
    int rank = 0;  // of the other end
    Descriptor socket;
    std::vector<std::byte> received;  // the beginning of a message
  };

  void Meet(const CommunicatorOptions& options, RendezvousStore& store);
  void Beat();
  void Receive(Link& link);
  void Take(const Link& link, const std::vector<int64_t>& message);
  void TellAll();

  const int rank_;
  const int world_size_;
  const std::chrono::milliseconds period_;
  std::atomic<int64_t> progress_ = 0;
  std::mutex mutex_;
  Roster roster_;            // guarded by mutex_
  std::vector<Link> links_;  // guarded by mutex_; rank 0: to all others; of others: to rank 0
  Descriptor ending_;        // an eventfd
  std::jthread beating_;
};

}  // namespace mead::train
