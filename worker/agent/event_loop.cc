#include "worker/agent/event_loop.h"

#include "absl/time/clock.h"

namespace mead::agent {

void EventLoop::PostAfter(absl::Duration delay, Task task) {
  // Due at once is "the infinite past", so that a step of the system's clock
  // can neither delay nor reorder ordinary tasks.
  const absl::Time due = delay <= absl::ZeroDuration() ? absl::InfinitePast() : absl::Now() + delay;
  absl::MutexLock lock(&mutex_);
  if (stopped_) return;
  tasks_.emplace(std::make_pair(due, next_id_++), std::move(task));
  changed_.Signal();
}

void EventLoop::Run() {
  for (;;) {
    Task task;
    {
      absl::MutexLock lock(&mutex_);
      while (!stopped_ && (tasks_.empty() || tasks_.begin()->first.first > absl::Now())) {
        const absl::Time due =
            tasks_.empty() ? absl::InfiniteFuture() : tasks_.begin()->first.first;
        changed_.WaitWithDeadline(&mutex_, due);
      }
      if (stopped_) return;
      task = std::move(tasks_.begin()->second);
      tasks_.erase(tasks_.begin());
    }
    task();
  }
}

void EventLoop::Stop() {
  decltype(tasks_) dropped;  // destroyed after the lock is released: tasks own things
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
  dropped.swap(tasks_);
  changed_.SignalAll();
}

}  // namespace mead::agent
