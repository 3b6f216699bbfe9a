#include "worker/train/comm/shm_counter.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <climits>

namespace mead::train {
namespace {

// Not FUTEX_PRIVATE_FLAG: the waiters are in other processes.
void WakeAll(std::atomic<uint32_t>& word) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

// Sleeps while the word is `seen`, at most for `limit` (nullptr: for ever). May
// return early, for any reason.
void SleepWhile(std::atomic<uint32_t>& word, uint32_t seen, const timespec* limit) noexcept {
  syscall(SYS_futex, &word, FUTEX_WAIT, seen, limit, nullptr, 0);
}

bool IsAtLeast(uint32_t word, uint32_t target) { return static_cast<int32_t>(word - target) >= 0; }

}  // namespace

void ShmCounter::Advance() noexcept {
  word_.fetch_add(kOne, std::memory_order_release);
  WakeAll(word_);
}

void ShmCounter::Break() noexcept {
  word_.fetch_or(kBrokenBit, std::memory_order_release);
  WakeAll(word_);
}

bool ShmCounter::Reached(uint64_t count) const noexcept {
  return IsAtLeast(word_.load(std::memory_order_acquire), static_cast<uint32_t>(count) * kOne);
}

ShmCounter::Outcome ShmCounter::WaitFor(uint64_t count, Deadline deadline) noexcept {
  const uint32_t target = static_cast<uint32_t>(count) * kOne;
  for (;;) {
    const uint32_t word = word_.load(std::memory_order_acquire);
    if (IsAtLeast(word, target)) return Outcome::kReached;
    if ((word & kBrokenBit) != 0) return Outcome::kBroken;
    if (deadline == kNever) {
      SleepWhile(word_, word, nullptr);
      continue;
    }
    const auto left = std::chrono::duration_cast<std::chrono::nanoseconds>(
        deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0) return Outcome::kTimedOut;
    constexpr int64_t kNanosecondsPerSecond = 1'000'000'000;
    const timespec limit{.tv_sec = left.count() / kNanosecondsPerSecond,
                         .tv_nsec = left.count() % kNanosecondsPerSecond};
    SleepWhile(word_, word, &limit);
  }
}

}  // namespace mead::train
