// A count in shared memory that one rank advances and the threads of all may wait for.
//
// The futex word carries both the count and, in bit 0, that the gang is broken: a
// waiter sleeps only while the whole word is as it saw it, so neither news can
// slip past it. Nobody spins, because a rank may have a single core for its
// computing and for this. Counts wrap; they are compared modulo 2^31.
// Thread: every method from any thread of any process that maps the word.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace mead::train {

class ShmCounter {
 public:
  using Deadline = std::chrono::steady_clock::time_point;
  static constexpr Deadline kNever = Deadline::max();
  enum class Outcome { kReached, kBroken, kTimedOut };

  // What this rank wrote before is seen by whoever sees the new count.
  void Advance() noexcept;
  // Wakes every waiter, for good.
  void Break() noexcept;
  bool Reached(uint64_t count) const noexcept;
  // A count that was reached before the gang broke is kReached.
  Outcome WaitFor(uint64_t count, Deadline deadline) noexcept;

 private:
  static constexpr uint32_t kBrokenBit = 1;
  static constexpr uint32_t kOne = 2;

  std::atomic<uint32_t> word_{0};
  static_assert(std::atomic<uint32_t>::is_always_lock_free, "shared between processes");
};

}  // namespace mead::train
