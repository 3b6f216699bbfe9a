// How long the train thread waits for the sake of checkpoints.
//
// Thread: the train thread.
#pragma once

#include <algorithm>
#include <chrono>
#include <utility>

namespace mead::train {

class StallClock {
 public:
  class Scope {
   public:
    explicit Scope(StallClock& clock) : clock_(clock), start_(std::chrono::steady_clock::now()) {}
    ~Scope() {
      const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start_;
      clock_.current_ += spent.count();
      clock_.longest_ = std::max(clock_.longest_, clock_.current_);
    }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    StallClock& clock_;
    const std::chrono::steady_clock::time_point start_;
  };

  void NextCheckpoint() { current_ = 0; }
  // Seconds of the longest since the last call.
  double TakeLongest() { return std::exchange(longest_, 0); }

 private:
  double current_ = 0;  // seconds, of one checkpoint
  double longest_ = 0;
};

}  // namespace mead::train
