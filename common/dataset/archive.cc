#include "common/dataset/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/dataset/image.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

// What stays free on the disk however large the archive turns out to be.
constexpr uint64_t kReserveBytes = 256u << 20;

struct ArchiveCloser {
  void operator()(archive* a) const { archive_read_free(a); }
};
using ArchivePtr = std::unique_ptr<archive, ArchiveCloser>;

bool EndsWith(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

absl::Status Damaged(const std::string& path, archive* a) {
  const char* reason = archive_error_string(a);
  return absl::InvalidArgumentError(absl::StrCat("cannot read the archive ", path, ": ",
                                                 reason ? reason : "unknown format",
                                                 ": download or pack it again"));
}

// Whether a member's name stays below the folder that it is unpacked into.
bool IsInside(const fs::path& name) {
  if (name.empty() || name.is_absolute()) return false;
  for (const fs::path& part : name) {
    if (part == "..") return false;
  }
  return true;
}

// Copies the current member's data to a new file. Returns whether it was not too large for one;
// else there is no file.
absl::StatusOr<bool> CopyMember(archive* a, const std::string& archive_path, const fs::path& to,
                                uint64_t& left_bytes) {
  ScopedFd fd(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot write ", to.string()));
  char buffer[1 << 16];
  uint64_t written = 0;
  for (;;) {
    const la_ssize_t n = archive_read_data(a, buffer, sizeof(buffer));
    if (n == 0) return true;
    if (n < 0) return Damaged(archive_path, a);
    const auto bytes = static_cast<size_t>(n);
    written += bytes;
    if (written > kMaxImageFileBytes) {
      std::error_code ignored;
      fs::remove(to, ignored);
      return false;
    }
    if (bytes > left_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("not enough disk space under ", to.parent_path().string(), " to unpack ",
                       archive_path, ": free some, or build the data set elsewhere"));
    }
    left_bytes -= bytes;
    MEAD_RETURN_IF_ERROR(WriteFully(fd.get(), {buffer, bytes}, to.string()));
  }
}

}  // namespace

bool IsArchiveName(const std::string& path) {
  const std::string name = FoldName(path);
  for (const char* end : {".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst"}) {
    if (EndsWith(name, end)) return true;
  }
  return false;
}

absl::StatusOr<std::vector<QuarantinedFile>> Unpack(const std::string& path,
                                                    const std::string& folder,
                                                    const Progress& progress, uint64_t max_bytes) {
  const ScopedUtf8Locale utf8;
  MEAD_RETURN_IF_ERROR(MakeDirs(folder));
  std::error_code error;
  const uint64_t total = fs::file_size(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot open ", path));
  MEAD_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeBytes(folder));
  uint64_t left_bytes =
      std::min(max_bytes, free_bytes > kReserveBytes ? free_bytes - kReserveBytes : 0);

  ArchivePtr a(archive_read_new());
  // Not filter_all, which also starts programs for rare formats.
  archive_read_support_filter_gzip(a.get());
  archive_read_support_filter_bzip2(a.get());
  archive_read_support_filter_xz(a.get());
  archive_read_support_filter_zstd(a.get());
  archive_read_support_format_zip(a.get());
  archive_read_support_format_tar(a.get());
  // Names in other encodings come as the bytes they are; Scan reports those that are not UTF-8.
  archive_read_set_option(a.get(), "zip", "hdrcharset", "UTF-8");
  archive_read_set_option(a.get(), "tar", "hdrcharset", "UTF-8");
  if (archive_read_open_filename(a.get(), path.c_str(), 1 << 18) != ARCHIVE_OK) {
    return Damaged(path, a.get());
  }

  std::vector<QuarantinedFile> left_out;
  const std::string too_large = absl::StrCat("larger than ", kMaxImageFileBytes >> 20, " MiB");
  const auto leave_out = [&](const std::string& name, const std::string& reason) {
    left_out.push_back({PrintableUtf8(name), reason});
  };
  for (uint64_t members = 0;; ++members) {
    archive_entry* entry = nullptr;
    const int result = archive_read_next_header(a.get(), &entry);
    if (result == ARCHIVE_EOF) break;
    if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Damaged(path, a.get());
    const char* raw = archive_entry_pathname_utf8(entry);
    if (raw == nullptr) raw = archive_entry_pathname(entry);
    const std::string name = raw != nullptr ? raw : "";
    if (!IsInside(name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("the archive ", path, " has a member named '", PrintableUtf8(name),
                       "', which lies outside of it: not unpacked; pack the pictures again"));
    }
    const fs::path to = fs::path(folder) / fs::path(name).lexically_normal();
    const bool is_link = archive_entry_hardlink(entry) != nullptr;
    if (archive_entry_filetype(entry) == AE_IFDIR) {
      MEAD_RETURN_IF_ERROR(MakeDirs(to));
    } else if (archive_entry_filetype(entry) != AE_IFREG || is_link) {
      leave_out(name, "a link or device in the archive");
    } else if (archive_entry_is_encrypted(entry) != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("the archive ", path, " is encrypted: unpack it first, and add the folder"));
    } else if (archive_entry_size_is_set(entry) != 0 &&
               static_cast<uint64_t>(archive_entry_size(entry)) > kMaxImageFileBytes) {
      leave_out(name, too_large);
    } else if (fs::exists(fs::symlink_status(to, error))) {
      leave_out(name, "a second member of this name in the archive");
    } else {
      MEAD_RETURN_IF_ERROR(MakeDirs(to.parent_path()));
      MEAD_ASSIGN_OR_RETURN(const bool whole, CopyMember(a.get(), path, to, left_bytes));
      if (!whole) leave_out(name, too_large);
    }
    if (progress && members % 64 == 0) {
      progress("unpack", static_cast<uint64_t>(archive_filter_bytes(a.get(), -1)), total);
    }
  }
  if (progress) progress("unpack", total, total);
  return left_out;
}

}  // namespace mead::dataset
