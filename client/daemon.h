// Background processes of a local cluster: started with a log file and a pid file, found
// again by a later command, ended cleanly.
//
// Thread: the main thread only (a forked child must find no lock held).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace mead::client {

struct DaemonOptions {
  std::string name;
  std::vector<std::string> command;  // program and arguments
  std::string pid_path;
  std::string log_path;  // appended to
  // Ends with this process, however that ends (a cluster in the foreground).
  bool dies_with_parent = false;
};

class Daemon {
 public:
  // Errors: NOT_FOUND (no such program), and those of the files.
  [[nodiscard]] static absl::StatusOr<Daemon> Start(const DaemonOptions& options);

  // The process of a pid file if it still runs. The file also holds the process's start time,
  // so that a pid that was given out again is not taken for it.
  static std::optional<Daemon> Find(const std::string& name, const std::string& pid_path,
                                    const std::string& log_path);

  bool IsRunning() const;
  // "exited with status 2", "was ended by signal 9"; "has ended" when only its parent knew.
  std::string Ending() const;
  // What it has logged since it was started by this process; all of a found one's log.
  // At most the last `lines`.
  std::string LogTail(int lines) const;

  // Asks it to end (SIGTERM).
  void RequestStop() const;
  // Waits for its end, for `grace` at most, then kills it. Removes the pid file.
  // Returns whether it ended by itself.
  bool WaitForEnd(absl::Duration grace) const;

  pid_t pid() const { return pid_; }
  const std::string& name() const { return name_; }
  const std::string& log_path() const { return log_path_; }

 private:
  Daemon() = default;

  // Takes the exit status of a child of this process; true once there is one.
  bool Collect() const;

  std::string name_;
  std::string pid_path_;
  std::string log_path_;
  pid_t pid_ = -1;
  uint64_t start_ticks_ = 0;
  uint64_t log_offset_ = 0;
  // As waitpid gives it, for a child that has ended.
  mutable std::optional<int> exit_status_;
};

}  // namespace mead::client
