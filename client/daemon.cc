#include "client/daemon.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kPoll = absl::Milliseconds(20);
constexpr uint64_t kMaxTailBytes = 64 << 10;

// Field 22 of /proc/PID/stat, clock ticks since boot; 0 when there is no such process or
// only its remains.
uint64_t StartTicks(pid_t pid) {
  std::ifstream file(absl::StrCat("/proc/", pid, "/stat"));
  std::string text;
  std::getline(file, text);
  // The second field, the program's name, may hold blanks and brackets.
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return 0;
  const std::vector<std::string> fields =
      absl::StrSplit(text.substr(name_end + 1), ' ', absl::SkipEmpty());
  uint64_t ticks = 0;
  if (fields.size() < 20 || fields[0] == "Z" || !absl::SimpleAtoi(fields[19], &ticks)) return 0;
  return ticks;
}

constexpr int kEndingSignals[] = {SIGINT, SIGTERM};

// While it lives these signals wait.
class EndingSignalsBlocked {
 public:
  EndingSignalsBlocked() {
    sigset_t ending;
    sigemptyset(&ending);
    for (const int number : kEndingSignals) sigaddset(&ending, number);
    pthread_sigmask(SIG_BLOCK, &ending, &before_);
  }
  ~EndingSignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  EndingSignalsBlocked(const EndingSignalsBlocked&) = delete;
  EndingSignalsBlocked& operator=(const EndingSignalsBlocked&) = delete;

  const sigset_t& before() const { return before_; }

 private:
  sigset_t before_;
};

// Between fork and exec: only calls that are safe after fork in a threaded process.
[[noreturn]] void RunChild(char* const* arguments, int log_fd, bool dies_with_parent, pid_t parent,
                           const sigset_t& mask) {
  // Its own session: a Ctrl-C in the terminal is for the client alone.
  setsid();
  // What comes from here on ends the child; the client's handlers would tell the client.
  for (const int number : kEndingSignals) signal(number, SIG_DFL);
  sigprocmask(SIG_SETMASK, &mask, nullptr);
  if (dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) _exit(1);
  }
  const int null_fd = open("/dev/null", O_RDONLY);
  dup2(null_fd, STDIN_FILENO);
  dup2(log_fd, STDOUT_FILENO);
  dup2(log_fd, STDERR_FILENO);
  close_range(3, ~0U, 0);
  execv(arguments[0], arguments);
  static constexpr char kMessage[] = "mead: cannot execute the program\n";
  [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, kMessage, sizeof kMessage - 1);
  _exit(127);
}

}  // namespace

absl::StatusOr<Daemon> Daemon::Start(const DaemonOptions& options) {
  if (access(options.command[0].c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat("no program ", options.command[0],
                                            "; it belongs beside this one: build it "
                                            "(scripts/build) or install all of Mead"));
  }
  MEAD_RETURN_IF_ERROR(MakeDirs(fs::path(options.log_path).parent_path()));
  MEAD_RETURN_IF_ERROR(MakeDirs(fs::path(options.pid_path).parent_path()));
  const ScopedFd log(
      open(options.log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!log.valid()) return ErrnoStatus(errno, options.log_path);
  Daemon daemon;
  daemon.name_ = options.name;
  daemon.pid_path_ = options.pid_path;
  daemon.log_path_ = options.log_path;
  daemon.log_offset_ = static_cast<uint64_t>(lseek(log.get(), 0, SEEK_END));
  std::vector<std::string> command = options.command;
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  const pid_t parent = getpid();
  {
    const EndingSignalsBlocked blocked;
    daemon.pid_ = fork();
    if (daemon.pid_ == 0) {
      RunChild(arguments.data(), log.get(), options.dies_with_parent, parent, blocked.before());
    }
  }
  if (daemon.pid_ < 0) return ErrnoStatus(errno, absl::StrCat("fork for ", options.name));
  daemon.start_ticks_ = StartTicks(daemon.pid_);
  const absl::Status written = WriteFileAtomically(
      options.pid_path, absl::StrCat(daemon.pid_, " ", daemon.start_ticks_, "\n"));
  if (!written.ok()) {
    // Nobody could find it again.
    daemon.RequestStop();
    daemon.WaitForEnd(absl::Seconds(5));
    return written;
  }
  return daemon;
}

std::optional<Daemon> Daemon::Find(const std::string& name, const std::string& pid_path,
                                   const std::string& log_path) {
  std::ifstream file(pid_path);
  Daemon daemon;
  if (!(file >> daemon.pid_ >> daemon.start_ticks_)) return std::nullopt;
  daemon.name_ = name;
  daemon.pid_path_ = pid_path;
  daemon.log_path_ = log_path;
  if (!daemon.IsRunning()) return std::nullopt;
  return daemon;
}

bool Daemon::Collect() const {
  int status = 0;
  if (!exit_status_ && waitpid(pid_, &status, WNOHANG) == pid_) exit_status_ = status;
  return exit_status_.has_value();
}

bool Daemon::IsRunning() const {
  if (Collect()) return false;
  if (start_ticks_ != 0 && StartTicks(pid_) == start_ticks_) return true;
  Collect();  // a child that ended between the two looks
  return false;
}

std::string Daemon::Ending() const {
  if (!exit_status_) return "has ended";
  if (WIFSIGNALED(*exit_status_))
    return absl::StrCat("was ended by signal ", WTERMSIG(*exit_status_));
  return absl::StrCat("exited with status ", WEXITSTATUS(*exit_status_));
}

std::string Daemon::LogTail(int lines) const {
  std::ifstream file(log_path_, std::ios::binary | std::ios::ate);
  if (!file) return "";
  const uint64_t size = static_cast<uint64_t>(file.tellg());
  uint64_t offset = std::min(log_offset_, size);
  if (size - offset > kMaxTailBytes) offset = size - kMaxTailBytes;
  file.seekg(static_cast<std::streamoff>(offset));
  std::string text(size - offset, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  std::vector<std::string> all = absl::StrSplit(text, '\n', absl::SkipEmpty());
  if (all.size() > static_cast<size_t>(lines)) all.erase(all.begin(), all.end() - lines);
  return absl::StrJoin(all, "\n");
}

void Daemon::RequestStop() const {
  if (IsRunning()) kill(pid_, SIGTERM);
}

bool Daemon::WaitForEnd(absl::Duration grace) const {
  const absl::Time deadline = absl::Now() + grace;
  while (IsRunning() && absl::Now() < deadline) absl::SleepFor(kPoll);
  const bool ended = !IsRunning();
  if (!ended) {
    kill(pid_, SIGKILL);
    while (IsRunning()) absl::SleepFor(kPoll);
  }
  std::error_code error;
  fs::remove(pid_path_, error);
  return ended;
}

}  // namespace mead::client
