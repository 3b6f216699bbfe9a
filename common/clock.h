// Time as a dependency, so that tests move it by hand.
//
// Thread: every method may be called from any thread.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace mead {

class Clock {
 public:
  virtual ~Clock() = default;

  // Never goes backwards and never jumps while the process lives.
  virtual absl::Time Now() = 0;

  // Waits on `cv` (with `mu` held) until it is signalled or the time is
  // `deadline`. May return early; the caller looks at its condition in a loop.
  virtual void WaitUntil(absl::CondVar& cv, absl::Mutex& mu, absl::Time deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) = 0;

  int64_t NowMicros() { return absl::ToUnixMicros(Now()); }
};

// The machine's clock: wall time when it was first asked, carried on by the
// monotonic clock. A step of the wall clock (NTP, an operator) therefore can
// not make every lease run out at once.
Clock& RealClock();

// Stands still until it is moved.
class FakeClock : public Clock {
 public:
  explicit FakeClock(absl::Time start = absl::FromUnixSeconds(1'700'000'000));

  absl::Time Now() override;
  // Waits for a signal or one real millisecond: enough for a loop to see that
  // Advance() was called, without the clock having to know who waits.
  void WaitUntil(absl::CondVar& cv, absl::Mutex& mu, absl::Time deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu);
  void Advance(absl::Duration by);

 private:
  absl::Mutex mu_;
  absl::Time now_ ABSL_GUARDED_BY(mu_);
};

}  // namespace mead
