// The members of a .zip, .tar, .tar.gz (and what else libarchive reads), one after another.
//
// An archive is somebody else's: absolute names and names with ".." are refused, writing a member
// out never fills the disk, and no program is started to unpack it. Of any size: nothing but a part
// of the member at hand is in memory.
// Thread: one thread owns it. While it lives, that thread's character set is UTF-8.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/dataset/names.h"

struct archive;

namespace mead::dataset {

struct ArchiveMember {
  std::string name;  // '/' separated, below the archive's root; bytes as they are
  bool is_folder = false;
  bool is_file = false;           // a regular one; neither: a link or a device
  std::optional<uint64_t> bytes;  // where the archive says so beforehand
};

class ArchiveReader {
 public:
  // Errors: NOT_FOUND, INVALID_ARGUMENT (not an archive).
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ArchiveReader>> Open(const std::string& path);
  ~ArchiveReader();

  // The next member, or nothing at the end. What was not read of the one before is passed over.
  // Errors: INVALID_ARGUMENT (damaged, encrypted, a name that leaves the folder).
  [[nodiscard]] absl::StatusOr<std::optional<ArchiveMember>> Next();

  // The member's content.
  // Errors: as Next; RESOURCE_EXHAUSTED (more than `limit` bytes).
  [[nodiscard]] absl::StatusOr<std::string> Read(uint64_t limit);

  // Writes the member's content to a new file, and takes its size from `left_bytes`. Returns
  // whether it has at most `limit` bytes, whatever the archive says of its size; else there is no
  // file. Errors: as Next; RESOURCE_EXHAUSTED (more than is left, or a full disk), and as files.h.
  [[nodiscard]] absl::StatusOr<bool> CopyTo(const std::filesystem::path& to, uint64_t limit,
                                            uint64_t& left_bytes);

  // For progress: bytes of the archive.
  uint64_t bytes_read() const;
  uint64_t bytes_total() const { return total_; }

 private:
  explicit ArchiveReader(std::string path);
  absl::Status Damaged() const;
  // The next bytes of the member; 0 at its end.
  absl::StatusOr<size_t> ReadSome(char* buffer, size_t size);

  const ScopedUtf8Locale utf8_;
  const std::string path_;
  uint64_t total_ = 0;
  archive* const archive_;
};

// What may be written under `folder` so that some of the disk stays free, however large an archive
// turns out to be.
[[nodiscard]] absl::StatusOr<uint64_t> BytesForUnpacking(const std::string& folder);

}  // namespace mead::dataset
