#include "worker/data/cache_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/status_util.h"

namespace mead::data {
namespace {

namespace fs = std::filesystem;

constexpr char kExtension[] = ".pixels";
// Being made: under this name it is nobody's yet.
constexpr char kNewExtension[] = ".new";
// Large enough to come here rarely, and a small share of a small limit.
constexpr uint64_t kPieceBytes = uint64_t{64} << 20;
constexpr uint64_t kPiecesOfLimit = 64;
// The lock is held for moments; a process that was stopped with it must not stop the others.
constexpr int kLockTries = 200;
constexpr absl::Duration kLockPause = absl::Milliseconds(10);

std::vector<fs::path> FilesIn(const std::string& dir, const char* extension) {
  std::vector<fs::path> files;
  std::error_code error;
  for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
    if (it->path().extension() == extension) files.push_back(it->path());
  }
  return files;
}

uint64_t FreeOrZero(const std::string& dir) {
  const absl::StatusOr<uint64_t> free = FreeBytes(dir);
  return free.ok() ? *free : 0;
}

}  // namespace

absl::StatusOr<ScopedFd> CacheFolder::Lock() const {
  const std::string path = options_.dir + "/lock";
  ScopedFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  for (int i = 0; i < kLockTries; ++i) {
    if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
    if (errno != EWOULDBLOCK && errno != EINTR) return ErrnoStatus(errno, path);
    absl::SleepFor(kLockPause);
  }
  return absl::UnavailableError(absl::StrCat(path, " stays locked by another process"));
}

absl::StatusOr<std::unique_ptr<CacheFile>> CacheFolder::Open(const std::string& name,
                                                             const CacheFile::Layout& layout) {
  MEAD_RETURN_IF_ERROR(MakeDirs(options_.dir));
  MEAD_ASSIGN_OR_RETURN(const ScopedFd lock, Lock());
  std::error_code ignored;
  for (const fs::path& left : FilesIn(options_.dir, kNewExtension)) fs::remove(left, ignored);

  const std::string path = absl::StrCat(options_.dir, "/", name, kExtension);
  absl::StatusOr<std::unique_ptr<CacheFile>> file = CacheFile::Open(path, layout);
  if (file.status().code() == absl::StatusCode::kFailedPrecondition) {
    Say(absl::StrCat("the cache of decoded pictures ", path, " is ",
                     std::string(file.status().message()), ": it is made anew"));
    fs::remove(path, ignored);  // who uses it keeps what it has
    file = absl::NotFoundError("");
  }
  if (file.status().code() == absl::StatusCode::kNotFound) {
    const std::string made = path + kNewExtension;
    if (absl::Status status = CacheFile::Create(made, layout); !status.ok()) {
      fs::remove(made, ignored);
      return status;
    }
    std::error_code error;
    fs::rename(made, path, error);
    if (error) return ErrnoStatus(error.value(), path);
    file = CacheFile::Open(path, layout);
  }
  if (!file.ok()) return file;
  // Alone with it, what dead processes left is put right.
  if (flock((*file)->fd(), LOCK_EX | LOCK_NB) == 0) (*file)->Recount();
  if (flock((*file)->fd(), LOCK_SH | LOCK_NB) != 0) return ErrnoStatus(errno, path);
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
  return file;
}

uint64_t CacheFolder::ReservedByAll() const {
  uint64_t sum = 0;
  for (const fs::path& path : FilesIn(options_.dir, kExtension)) {
    sum += CacheFile::ReservedBytes(path.string());
  }
  return sum;
}

bool CacheFolder::RemoveOldest() const {
  std::vector<std::pair<fs::file_time_type, fs::path>> files;
  for (const fs::path& path : FilesIn(options_.dir, kExtension)) {
    std::error_code ignored;
    files.emplace_back(fs::last_write_time(path, ignored), path);
  }
  std::sort(files.begin(), files.end());
  for (const auto& [time, path] : files) {
    const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd.valid() || flock(fd.get(), LOCK_EX | LOCK_NB) != 0) continue;
    std::error_code error;
    if (fs::remove(path, error)) return true;
  }
  return false;
}

absl::Status CacheFolder::Reserve(CacheFile& file, uint64_t bytes) {
  MEAD_ASSIGN_OR_RETURN(const ScopedFd lock, Lock());
  const uint64_t used = file.used_bytes();
  if (used + bytes <= file.reserved_bytes()) return absl::OkStatus();  // another process did it
  const uint64_t needed = used + bytes - file.reserved_bytes();
  struct stat info {};
  // Removed while in use (by hand, or by another version): what it takes goes with its users.
  const bool named = fstat(file.fd(), &info) == 0 && info.st_nlink > 0;
  for (;;) {
    const uint64_t all = ReservedByAll() + (named ? 0 : file.reserved_bytes().load());
    const uint64_t left = options_.limit_bytes > all ? options_.limit_bytes - all : 0;
    const uint64_t free = FreeOrZero(options_.dir);
    const uint64_t disk = free > options_.keep_free_bytes ? free - options_.keep_free_bytes : 0;
    const uint64_t usual = std::min(kPieceBytes, options_.limit_bytes / kPiecesOfLimit);
    const uint64_t piece = std::min({std::max(usual, needed), left, disk});
    if (piece >= needed) {
      file.reserved_bytes() += piece;
      return absl::OkStatus();
    }
    if (RemoveOldest()) continue;
    if (left < needed) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the cache of decoded pictures has its ", options_.limit_bytes,
                       " bytes in use (mead-worker --decoded-cache-bytes)"));
    }
    return absl::ResourceExhaustedError(absl::StrCat("the disk of ", options_.dir, " has ", free,
                                                     " bytes free, and ", options_.keep_free_bytes,
                                                     " stay free"));
  }
}

}  // namespace mead::data
