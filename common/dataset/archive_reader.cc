#include "common/dataset/archive_reader.h"

#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>

#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kReserveBytes = 256u << 20;

// Whether a member's name stays below the folder that it is unpacked into.
bool IsInside(const fs::path& name) {
  if (name.empty() || name.is_absolute()) return false;
  for (const fs::path& part : name) {
    if (part == "..") return false;
  }
  return true;
}

}  // namespace

ArchiveReader::ArchiveReader(std::string path)
    : path_(std::move(path)), archive_(archive_read_new()) {
  // Not filter_all, which also starts programs for rare formats.
  archive_read_support_filter_gzip(archive_);
  archive_read_support_filter_bzip2(archive_);
  archive_read_support_filter_xz(archive_);
  archive_read_support_filter_zstd(archive_);
  archive_read_support_format_zip(archive_);
  archive_read_support_format_tar(archive_);
  // Names in other encodings come as the bytes they are; the scan reports those that are not UTF-8.
  archive_read_set_option(archive_, "zip", "hdrcharset", "UTF-8");
  archive_read_set_option(archive_, "tar", "hdrcharset", "UTF-8");
}

ArchiveReader::~ArchiveReader() { archive_read_free(archive_); }

absl::StatusOr<std::unique_ptr<ArchiveReader>> ArchiveReader::Open(const std::string& path) {
  std::unique_ptr<ArchiveReader> reader(new ArchiveReader(path));
  std::error_code error;
  reader->total_ = fs::file_size(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot open ", path));
  if (archive_read_open_filename(reader->archive_, path.c_str(), 1 << 18) != ARCHIVE_OK) {
    return reader->Damaged();
  }
  return reader;
}

absl::Status ArchiveReader::Damaged() const {
  const char* reason = archive_error_string(archive_);
  return absl::InvalidArgumentError(absl::StrCat("cannot read the archive ", path_, ": ",
                                                 reason ? reason : "unknown format",
                                                 ": download or pack it again"));
}

absl::StatusOr<std::optional<ArchiveMember>> ArchiveReader::Next() {
  archive_entry* entry = nullptr;
  const int result = archive_read_next_header(archive_, &entry);
  if (result == ARCHIVE_EOF) return std::nullopt;
  if (result != ARCHIVE_OK && result != ARCHIVE_WARN) return Damaged();
  const char* raw = archive_entry_pathname_utf8(entry);
  if (raw == nullptr) raw = archive_entry_pathname(entry);
  ArchiveMember member;
  member.name = raw != nullptr ? raw : "";
  if (!IsInside(member.name)) {
    return absl::InvalidArgumentError(
        absl::StrCat("the archive ", path_, " has a member named '", PrintableUtf8(member.name),
                     "', which lies outside of it: not unpacked; pack the pictures again"));
  }
  if (archive_entry_is_encrypted(entry) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the archive ", path_, " is encrypted: unpack it first, and add the folder"));
  }
  member.is_folder = archive_entry_filetype(entry) == AE_IFDIR;
  member.is_file =
      archive_entry_filetype(entry) == AE_IFREG && archive_entry_hardlink(entry) == nullptr;
  if (archive_entry_size_is_set(entry) != 0) {
    member.bytes = static_cast<uint64_t>(archive_entry_size(entry));
  }
  return member;
}

absl::StatusOr<size_t> ArchiveReader::ReadSome(char* buffer, size_t size) {
  const la_ssize_t n = archive_read_data(archive_, buffer, size);
  if (n < 0) return Damaged();
  return static_cast<size_t>(n);
}

absl::StatusOr<std::string> ArchiveReader::Read(uint64_t limit) {
  std::string content;
  char buffer[1 << 16];
  for (;;) {
    MEAD_ASSIGN_OR_RETURN(const size_t n, ReadSome(buffer, sizeof(buffer)));
    if (n == 0) return content;
    if (content.size() + n > limit) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a member of ", path_, " is larger than ", limit, " bytes"));
    }
    content.append(buffer, n);
  }
}

absl::StatusOr<bool> ArchiveReader::CopyTo(const fs::path& to, uint64_t limit,
                                           uint64_t& left_bytes) {
  ScopedFd fd(open(to.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, absl::StrCat("cannot write ", to.string()));
  char buffer[1 << 16];
  uint64_t written = 0;
  for (;;) {
    MEAD_ASSIGN_OR_RETURN(const size_t n, ReadSome(buffer, sizeof(buffer)));
    if (n == 0) return true;
    if (written + n > limit) {
      std::error_code ignored;
      fs::remove(to, ignored);
      return false;
    }
    if (n > left_bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("not enough disk space under ", to.parent_path().string(), " to unpack ",
                       path_, ": free some, or build the data set elsewhere"));
    }
    written += n;
    left_bytes -= n;
    MEAD_RETURN_IF_ERROR(WriteFully(fd.get(), {buffer, n}, to.string()));
  }
}

uint64_t ArchiveReader::bytes_read() const {
  return static_cast<uint64_t>(archive_filter_bytes(archive_, -1));
}

absl::StatusOr<uint64_t> BytesForUnpacking(const std::string& folder) {
  MEAD_ASSIGN_OR_RETURN(const uint64_t free_bytes, FreeBytes(folder));
  return free_bytes > kReserveBytes ? free_bytes - kReserveBytes : 0;
}

}  // namespace mead::dataset
