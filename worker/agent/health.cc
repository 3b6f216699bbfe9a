#include "worker/agent/health.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "common/files.h"

namespace mead::agent {
namespace {

// One byte, overwritten in place: needs no room on the disk and is never half written.
constexpr char kOpen = '1';
constexpr char kClosed = '0';

}  // namespace

void WriteHealth(const std::filesystem::path& dir, bool session_open) {
  const ScopedFd file(open((dir / "health").c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
  if (!file.valid()) return;
  const char byte = session_open ? kOpen : kClosed;
  [[maybe_unused]] const ssize_t written = pwrite(file.get(), &byte, 1, 0);
  futimens(file.get(), nullptr);
}

absl::Status ProbeHealth(const std::filesystem::path& dir, bool want_ready, absl::Time now) {
  const std::filesystem::path path = dir / "health";
  struct stat info = {};
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok() || stat(path.c_str(), &info) != 0) {
    return absl::UnavailableError(absl::StrCat("no mead-worker has started in ", dir.string(),
                                               "; give the worker's own --dir"));
  }
  const absl::Duration age = now - absl::TimeFromTimespec(info.st_mtim);
  if (age > kHealthLimit) {
    return absl::UnavailableError(
        absl::StrCat("the agent last turned its loop ",
                     absl::FormatDuration(absl::Trunc(age, absl::Seconds(1))), " ago"));
  }
  if (want_ready && (text->empty() || (*text)[0] != kOpen)) {
    return absl::UnavailableError("the agent has no session with the coordinator");
  }
  return absl::OkStatus();
}

}  // namespace mead::agent
