#include "common/clock.h"

#include <gtest/gtest.h>

#include <thread>

#include "absl/time/clock.h"

namespace mead {
namespace {

TEST(Clock, FakeOneStandsStillUntilItIsMoved) {
  FakeClock clock;
  const absl::Time start = clock.Now();
  EXPECT_EQ(clock.Now(), start);
  clock.Advance(absl::Hours(5));
  EXPECT_EQ(clock.Now(), start + absl::Hours(5));
}

TEST(Clock, FakeOneWakesAWaiterWhenItsTimeHasCome) {
  FakeClock clock;
  const absl::Time deadline = clock.Now() + absl::Hours(1);
  absl::Mutex mu;
  absl::CondVar cv;
  std::jthread waiter([&] {
    absl::MutexLock lock(&mu);
    while (clock.Now() < deadline) clock.WaitUntil(cv, mu, deadline);
  });
  clock.Advance(absl::Hours(1));
  waiter.join();  // or the test's time limit
}

TEST(Clock, RealOneTellsTheTimeAndNeverGoesBack) {
  EXPECT_LT(absl::AbsDuration(RealClock().Now() - absl::Now()), absl::Seconds(30));
  absl::Time last = RealClock().Now();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = RealClock().Now();
    ASSERT_GE(now, last);
    last = now;
  }
}

TEST(Clock, RealOneReturnsAtTheDeadline) {
  absl::Mutex mu;
  absl::CondVar cv;
  const absl::Time deadline = RealClock().Now() + absl::Milliseconds(2);
  absl::MutexLock lock(&mu);
  while (RealClock().Now() < deadline) RealClock().WaitUntil(cv, mu, deadline);
  RealClock().WaitUntil(cv, mu, absl::InfinitePast());
}

}  // namespace
}  // namespace mead
