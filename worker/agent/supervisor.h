// Child processes, and the thread that watches them.
//
// A child gets its own process group, an empty signal mask, no stdin, and dies
// with the agent (PR_SET_PDEATHSIG). Its stdout and stderr come back as lines.
// Its end is seen at once through a pidfd; no SIGCHLD handler, so a library's
// own children are not disturbed.
//
// PR_SET_PDEATHSIG follows the *thread* that forked, so every child is started
// by the supervisor's thread, which lives as long as the supervisor.
//
// Bound:  one unfinished line (LineSplitter) and one read of 64 KiB per child; what
//         becomes of the lines is on_lines' affair.
// Thread: thread-safe. Callbacks run on the supervisor's thread and must not block.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/agent/line_splitter.h"

namespace mead::agent {

struct ExitStatus {
  // One of the two is 0.
  int code = 0;
  int signal = 0;
  // "exited with code 3", "was killed by signal 9 (Killed)".
  std::string ToString() const;
};

struct ChildOptions {
  // argv[0] is the program's path.
  std::vector<std::string> argv;
  // Added to the agent's own environment.
  std::vector<std::pair<std::string, std::string>> environment;
  // Lines in the order in which they were printed.
  std::function<void(std::vector<std::string> lines)> on_lines;
  // The last call for this child: the process has ended and been reaped.
  std::function<void(ExitStatus)> on_exit;
};

class Supervisor {
 public:
  using ChildId = int64_t;

  static absl::StatusOr<std::unique_ptr<Supervisor>> Create();
  // Kills what still runs and waits for its end.
  ~Supervisor();

  // Starts a child; returns when it has been started.
  // Errors: NOT_FOUND (no such program), or what fork and exec say.
  absl::StatusOr<ChildId> Start(ChildOptions options);
  // SIGTERM, then SIGKILL after the grace. Nothing happens if it has ended.
  void Terminate(ChildId id, absl::Duration grace);
  // SIGKILL.
  void Kill(ChildId id);
  // 0 when it has ended.
  pid_t PidOf(ChildId id) const;

 private:
  struct Child {
    ChildOptions options;
    pid_t pid = 0;
    int pidfd = -1;
    int output = -1;
    LineSplitter splitter;
    // When SIGKILL follows; InfiniteFuture: never.
    absl::Time kill_at = absl::InfiniteFuture();
  };

  explicit Supervisor(int wake_fd);
  void Run();
  // Runs a task on the supervisor's thread.
  void Post(std::function<void()> task);
  void RunTasks();
  absl::StatusOr<ChildId> StartHere(ChildOptions options);
  void Signal(ChildId id, int signal);
  // Reads what the child has printed; closes the pipe at its end.
  void Drain(Child& child, bool until_empty);
  void Reap(ChildId id);

  const int wake_fd_;
  mutable absl::Mutex mutex_;
  std::deque<std::function<void()>> tasks_ ABSL_GUARDED_BY(mutex_);
  std::map<ChildId, pid_t> pids_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  // Touched only by the thread.
  std::map<ChildId, std::unique_ptr<Child>> children_;
  ChildId next_id_ = 1;
  std::jthread thread_;
};

}  // namespace mead::agent
