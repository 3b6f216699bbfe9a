// Waits between tries: exponential, with full jitter from an injected seed, so
// that a thousand workers do not come back to a coordinator at the same instant
// and a test sees the same waits every time.
//
// Source: "Exponential Backoff And Jitter" (AWS Architecture Blog, 2015), with a
//   floor of half the step so that a try never follows another at once.
#pragma once

#include <algorithm>
#include <cstdint>

#include "absl/time/time.h"
#include "common/base/rng.h"

namespace mead::agent {

class Backoff {
 public:
  Backoff(absl::Duration first, absl::Duration max, uint64_t seed)
      : first_(first), max_(max), step_(first), rng_(seed) {}

  // The next wait: within [step / 2, step]; the step doubles up to the maximum.
  absl::Duration Next() {
    const absl::Duration wait = step_ * rng_.Uniform(0.5, 1.0);
    step_ = std::min(max_, step_ * 2);
    return wait;
  }
  void Reset() { step_ = first_; }

 private:
  const absl::Duration first_;
  const absl::Duration max_;
  absl::Duration step_;
  Rng rng_;
};

}  // namespace mead::agent
