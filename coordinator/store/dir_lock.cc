#include "coordinator/store/dir_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead::store {

absl::StatusOr<DirLock> DirLock::Acquire(const std::filesystem::path& dir) {
  const std::string path = (dir / "LOCK").string();
  ScopedFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open ", path));
  if (flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return ErrnoStatus(errno, absl::StrCat("cannot lock ", path));
    std::string holder = ReadFile(path).value_or("");
    absl::StripAsciiWhitespace(&holder);
    return absl::FailedPreconditionError(
        absl::StrCat(dir.string(), " is in use by another mead-coordinator",
                     holder.empty() ? "" : absl::StrCat(" (process ", holder, ")"),
                     "; stop that one, or give this one another --dir"));
  }
  // Only for the message above, so a write that fails costs no more than that.
  if (ftruncate(fd.get(), 0) == 0) {
    (void)WriteFully(fd.get(), absl::StrCat(getpid(), "\n"), path);
  }
  return DirLock(std::move(fd));
}

}  // namespace mead::store
