#include "worker/agent/supervisor.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <future>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status_util.h"

namespace mead::agent {
namespace {

// The child between fork and exec: only async-signal-safe calls, since other
// threads of the agent may have held any lock at the fork.
[[noreturn]] void BecomeProgram(char* const* argv, char* const* environment, int output,
                                int error_pipe, pid_t agent) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  // The agent may have died before the line above.
  if (getppid() != agent) _exit(127);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  signal(SIGPIPE, SIG_DFL);
  const int null = open("/dev/null", O_RDONLY);
  if (null >= 0) dup2(null, STDIN_FILENO);
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  execve(argv[0], argv, environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(error_pipe, &error, sizeof error);
  _exit(127);
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& text : strings) pointers.push_back(text.data());
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

std::string ExitStatus::ToString() const {
  if (signal == 0) return absl::StrCat("exited with code ", code);
  return absl::StrCat("was killed by signal ", signal, " (", strsignal(signal), ")");
}

absl::StatusOr<std::unique_ptr<Supervisor>> Supervisor::Create() {
  const int wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  if (wake_fd < 0) return ErrnoStatus(errno, "eventfd");
  return std::unique_ptr<Supervisor>(new Supervisor(wake_fd));
}

Supervisor::Supervisor(int wake_fd) : wake_fd_(wake_fd) {
  thread_ = std::jthread([this] { Run(); });
}

Supervisor::~Supervisor() {
  Post([this] {
    for (const auto& [id, child] : children_) kill(-child->pid, SIGKILL);
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  });
  thread_.join();
  close(wake_fd_);
}

void Supervisor::Post(std::function<void()> task) {
  {
    absl::MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_fd_, &one, sizeof one);
}

absl::StatusOr<Supervisor::ChildId> Supervisor::Start(ChildOptions options) {
  std::promise<absl::StatusOr<ChildId>> started;
  auto result = started.get_future();
  Post([&] { started.set_value(StartHere(std::move(options))); });
  return result.get();
}

void Supervisor::Terminate(ChildId id, absl::Duration grace) {
  Post([this, id, grace] {
    Signal(id, SIGTERM);
    const auto it = children_.find(id);
    if (it == children_.end()) return;
    it->second->kill_at = std::min(it->second->kill_at, absl::Now() + grace);
  });
}

void Supervisor::Kill(ChildId id) {
  Post([this, id] { Signal(id, SIGKILL); });
}

pid_t Supervisor::PidOf(ChildId id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = pids_.find(id);
  return it == pids_.end() ? 0 : it->second;
}

void Supervisor::Signal(ChildId id, int signal) {
  const auto it = children_.find(id);
  // The child is unreaped, so its pid (and group) cannot be another's yet.
  if (it != children_.end()) kill(-it->second->pid, signal);
}

absl::StatusOr<Supervisor::ChildId> Supervisor::StartHere(ChildOptions options) {
  if (options.argv.empty()) return absl::InvalidArgumentError("no program to start");
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const std::string_view name = text.substr(0, text.find('='));
    const bool replaced = std::any_of(options.environment.begin(), options.environment.end(),
                                      [&](const auto& added) { return added.first == name; });
    if (!replaced) environment.emplace_back(text);
  }
  for (const auto& [name, value] : options.environment) {
    environment.push_back(absl::StrCat(name, "=", value));
  }
  std::vector<char*> argv = Pointers(options.argv);
  std::vector<char*> envp = Pointers(environment);

  int output[2];
  int error_pipe[2];
  if (pipe2(output, O_CLOEXEC) != 0) return ErrnoStatus(errno, "pipe2");
  if (pipe2(error_pipe, O_CLOEXEC) != 0) {
    const int error = errno;
    close(output[0]);
    close(output[1]);
    return ErrnoStatus(error, "pipe2");
  }
  fcntl(output[0], F_SETFL, O_NONBLOCK);
  const pid_t agent = getpid();
  const pid_t pid = fork();
  if (pid == 0) BecomeProgram(argv.data(), envp.data(), output[1], error_pipe[1], agent);
  const int fork_error = errno;
  close(output[1]);
  close(error_pipe[1]);
  int error = pid < 0 ? fork_error : 0;
  // Closed by a successful exec; else it brings errno.
  if (pid > 0) {
    while (read(error_pipe[0], &error, sizeof error) < 0 && errno == EINTR) {
    }
  }
  close(error_pipe[0]);
  int pidfd = -1;
  if (error == 0) {
    pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
    if (pidfd < 0) {
      error = errno;
      kill(pid, SIGKILL);
    } else {
      fcntl(pidfd, F_SETFD, FD_CLOEXEC);
    }
  }
  if (error != 0) {
    if (pid > 0) waitpid(pid, nullptr, 0);
    close(output[0]);
    return ErrnoStatus(error, absl::StrCat("cannot start ", options.argv[0]));
  }

  auto child = std::make_unique<Child>();
  child->options = std::move(options);
  child->pid = pid;
  child->pidfd = pidfd;
  child->output = output[0];
  const ChildId id = next_id_++;
  children_[id] = std::move(child);
  absl::MutexLock lock(&mutex_);
  pids_[id] = pid;
  return id;
}

void Supervisor::RunTasks() {
  uint64_t count;
  [[maybe_unused]] const ssize_t got = read(wake_fd_, &count, sizeof count);
  for (;;) {
    std::function<void()> task;
    {
      absl::MutexLock lock(&mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

void Supervisor::Run() {
  for (;;) {
    {
      absl::MutexLock lock(&mutex_);
      if (stopping_ && children_.empty() && tasks_.empty()) return;
    }
    std::vector<pollfd> fds = {{wake_fd_, POLLIN, 0}};
    std::vector<ChildId> ids;
    absl::Time next = absl::InfiniteFuture();
    for (const auto& [id, child] : children_) {
      ids.push_back(id);
      fds.push_back({child->pidfd, POLLIN, 0});
      fds.push_back({child->output, POLLIN, 0});  // -1 is ignored by poll
      next = std::min(next, child->kill_at);
    }
    int timeout_ms = -1;
    if (next != absl::InfiniteFuture()) {
      const int64_t left = absl::ToInt64Milliseconds(next - absl::Now()) + 1;
      timeout_ms = static_cast<int>(std::clamp<int64_t>(left, 0, 60'000));
    }
    if (poll(fds.data(), fds.size(), timeout_ms) < 0) continue;  // EINTR
    const absl::Time now = absl::Now();
    for (size_t i = 0; i < ids.size(); ++i) {
      Child& child = *children_.at(ids[i]);
      if (fds[2 + 2 * i].revents != 0) Drain(child, /*until_empty=*/false);
      if (fds[1 + 2 * i].revents != 0) {
        Reap(ids[i]);
      } else if (child.kill_at <= now) {
        child.kill_at = absl::InfiniteFuture();
        kill(-child.pid, SIGKILL);
      }
    }
    RunTasks();
  }
}

void Supervisor::Drain(Child& child, bool until_empty) {
  if (child.output < 0) return;
  std::vector<std::string> lines;
  const auto collect = [&](std::string line) { lines.push_back(std::move(line)); };
  char buffer[65536];
  ssize_t got;
  do {
    got = read(child.output, buffer, sizeof buffer);
    if (got > 0) child.splitter.Feed({buffer, static_cast<size_t>(got)}, collect);
  } while (got > 0 && until_empty);
  const bool ended = got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR);
  if (ended || until_empty) {
    child.splitter.Finish(collect);
    close(child.output);
    child.output = -1;
  }
  if (!lines.empty() && child.options.on_lines) child.options.on_lines(std::move(lines));
}

void Supervisor::Reap(ChildId id) {
  Child& child = *children_.at(id);
  siginfo_t info = {};
  const auto wait = [&](int options) {
    return waitid(static_cast<idtype_t>(P_PIDFD), static_cast<id_t>(child.pidfd), &info,
                  WEXITED | WNOHANG | options);
  };
  if (wait(WNOWAIT) != 0 || info.si_pid == 0) return;  // not ended after all
  // Its own children get the same end as it did, while its id, still unreaped,
  // cannot be another process group's.
  kill(-child.pid, SIGKILL);
  wait(0);
  // What it printed before its end comes before the news of its end.
  Drain(child, /*until_empty=*/true);
  ExitStatus status;
  if (info.si_code == CLD_EXITED) {
    status.code = info.si_status;
  } else {
    status.signal = info.si_status;
  }
  close(child.pidfd);
  {
    absl::MutexLock lock(&mutex_);
    pids_.erase(id);
  }
  const auto on_exit = std::move(child.options.on_exit);
  children_.erase(id);
  if (on_exit) on_exit(status);
}

}  // namespace mead::agent
