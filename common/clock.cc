#include "common/clock.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"

namespace mead {
namespace {

class SystemClock : public Clock {
 public:
  absl::Time Now() override {
    return start_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_start_);
  }
  void WaitUntil(absl::CondVar& cv, absl::Mutex& mu, absl::Time deadline) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu) {
    // The wait underneath is by the wall clock; a second at a time keeps a step
    // of that clock from holding anybody up for longer.
    cv.WaitWithTimeout(&mu, std::clamp(deadline - Now(), absl::ZeroDuration(), absl::Seconds(1)));
  }

 private:
  const absl::Time start_ = absl::Now();
  const std::chrono::steady_clock::time_point steady_start_ = std::chrono::steady_clock::now();
};

}  // namespace

Clock& RealClock() {
  static SystemClock* const clock = new SystemClock;  // outlives every thread
  return *clock;
}

FakeClock::FakeClock(absl::Time start) : now_(start) {}

absl::Time FakeClock::Now() {
  absl::MutexLock lock(&mu_);
  return now_;
}

void FakeClock::WaitUntil(absl::CondVar& cv, absl::Mutex& mu, absl::Time deadline) {
  if (Now() < deadline) cv.WaitWithTimeout(&mu, absl::Milliseconds(1));
}

void FakeClock::Advance(absl::Duration by) {
  absl::MutexLock lock(&mu_);
  now_ += by;
}

}  // namespace mead
