// The agent's own thread: tasks in order, and tasks that are due later.
//
// All of the agent's state (slots, members, trainers) is touched only by tasks
// that run here, so none of it needs a lock.
//
// Bound:  none of its own; producers bound themselves: a trainer's stream and a
//         transfer have one task outstanding each, a child's output kMaxPostedBatches.
// Thread: Post, PostAfter and Stop from any thread; Run from one.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace mead::agent {

class EventLoop {
 public:
  using Task = std::function<void()>;

  void Post(Task task) { PostAfter(absl::ZeroDuration(), std::move(task)); }
  void PostAfter(absl::Duration delay, Task task);

  // Runs tasks until Stop(). Tasks that are left then are destroyed, not run.
  void Run();
  void Stop();

 private:
  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t next_id_ ABSL_GUARDED_BY(mutex_) = 0;
  // By due time, then by order of posting.
  std::map<std::pair<absl::Time, uint64_t>, Task> tasks_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace mead::agent
