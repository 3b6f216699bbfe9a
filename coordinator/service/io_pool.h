// Threads for what may wait on a disk, so that gRPC's callbacks never do.
//
// Queue:  every waiting job belongs to one call, which has at most one; so the
//   queue is bounded by the calls in flight.
// Thread: Run() may be called from any thread, by jobs too.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace mead::service {

class IoPool {
 public:
  explicit IoPool(int threads) {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { Loop(); });
  }
  // Does what has been queued, then ends.
  ~IoPool() {
    absl::MutexLock lock(&mu_);
    closed_ = true;
  }

  void Run(std::function<void()> job) {
    absl::MutexLock lock(&mu_);
    jobs_.push_back(std::move(job));
  }

  // Waits until there is nothing to do.
  void Drain() {
    absl::MutexLock lock(&mu_);
    mu_.Await(absl::Condition(this, &IoPool::IsIdle));
  }

 private:
  void Loop() {
    for (;;) {
      std::function<void()> job;
      {
        absl::MutexLock lock(&mu_);
        mu_.Await(absl::Condition(this, &IoPool::HasWork));
        if (jobs_.empty()) return;
        job = std::move(jobs_.front());
        jobs_.pop_front();
        ++running_;
      }
      job();
      job = nullptr;  // what it holds is let go before it counts as done
      absl::MutexLock lock(&mu_);
      --running_;
    }
  }
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) { return closed_ || !jobs_.empty(); }
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_) {
    return jobs_.empty() && running_ == 0;
  }

  absl::Mutex mu_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mu_);
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  bool closed_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::jthread> threads_;  // last: joined before what they use goes
};

}  // namespace mead::service
