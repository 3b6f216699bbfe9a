#include "common/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/status_util.h"

namespace mead {

void ScopedFd::Reset() {
  if (fd_ >= 0) close(Release());
}

absl::StatusOr<std::string> ReadFile(const std::filesystem::path& path) {
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open ", path.string()));
  std::string data;
  struct stat info;
  if (fstat(fd.get(), &info) == 0 && info.st_size > 0) {
    data.reserve(static_cast<size_t>(info.st_size));
  }
  char buffer[1 << 16];
  while (true) {
    const ssize_t got = read(fd.get(), buffer, sizeof(buffer));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path.string()));
    if (got == 0) return data;
    data.append(buffer, static_cast<size_t>(got));
  }
}

absl::Status WriteFully(int fd, std::string_view data, std::string_view name) {
  while (!data.empty()) {
    const ssize_t written = write(fd, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return ErrnoStatus(errno, absl::StrCat("cannot write ", ToAbsl(name)));
    }
    data.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteFileAtomically(const std::filesystem::path& path, std::string_view data) {
  const std::filesystem::path folder = path.has_parent_path() ? path.parent_path() : ".";
  const std::filesystem::path aside = folder / RandomId("." + path.filename().string() + ".", 8);
  const auto write = [&]() -> absl::Status {
    const ScopedFd fd(open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot create ", aside.string()));
    MEAD_RETURN_IF_ERROR(WriteFully(fd.get(), data, aside.string()));
    if (fsync(fd.get()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("cannot sync ", aside.string()));
    }
    if (rename(aside.c_str(), path.c_str()) != 0) {
      return ErrnoStatus(errno, absl::StrCat("cannot rename to ", path.string()));
    }
    return absl::OkStatus();
  };
  if (absl::Status status = write(); !status.ok()) {
    unlink(aside.c_str());
    return status;
  }
  return SyncDir(folder);
}

absl::Status MakeDirs(const std::filesystem::path& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot make folder ", path.string()));
  if (!std::filesystem::is_directory(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path.string(), " is not a folder; move it away or choose another path"));
  }
  return absl::OkStatus();
}

absl::Status SyncDir(const std::filesystem::path& path) {
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open folder ", path.string()));
  if (fsync(fd.get()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot sync folder ", path.string()));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> FreeBytes(const std::filesystem::path& path) {
  struct statvfs info;
  if (statvfs(path.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot ask for the free space of ", path.string()));
  }
  return static_cast<uint64_t>(info.f_bavail) * info.f_frsize;
}

}  // namespace mead
