#include "worker/agent/backoff.h"

#include <gtest/gtest.h>

namespace mead::agent {
namespace {

TEST(BackoffTest, WaitsDoubleUpToTheMaximumWithinHalfAStepOfJitter) {
  Backoff backoff(absl::Milliseconds(100), absl::Milliseconds(1000), 7);
  for (const int step : {100, 200, 400, 800, 1000, 1000}) {
    const absl::Duration wait = backoff.Next();
    EXPECT_GE(wait, absl::Milliseconds(step) / 2);
    EXPECT_LE(wait, absl::Milliseconds(step));
  }
  backoff.Reset();
  EXPECT_LE(backoff.Next(), absl::Milliseconds(100));
}

TEST(BackoffTest, TheSameSeedGivesTheSameWaitsAndAnotherOneOthers) {
  Backoff a(absl::Seconds(1), absl::Seconds(8), 1);
  Backoff b(absl::Seconds(1), absl::Seconds(8), 1);
  Backoff c(absl::Seconds(1), absl::Seconds(8), 2);
  const absl::Duration first = a.Next();
  EXPECT_EQ(first, b.Next());
  EXPECT_NE(first, c.Next());
}

}  // namespace
}  // namespace mead::agent
