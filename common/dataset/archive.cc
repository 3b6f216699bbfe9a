#include "common/dataset/archive.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/dataset/archive_reader.h"
#include "common/dataset/image.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::dataset {

namespace fs = std::filesystem;

bool IsArchiveName(const std::string& path) {
  const std::string name = FoldName(path);
  for (const char* end : {".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz", ".tar.bz2", ".tar.zst"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

absl::StatusOr<std::vector<QuarantinedFile>> Unpack(const std::string& path,
                                                    const std::string& folder,
                                                    const Progress& progress, uint64_t max_bytes) {
  MEAD_RETURN_IF_ERROR(MakeDirs(folder));
  MEAD_ASSIGN_OR_RETURN(uint64_t left_bytes, BytesForUnpacking(folder));
  left_bytes = std::min(left_bytes, max_bytes);
  MEAD_ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveReader> reader, ArchiveReader::Open(path));
  std::vector<QuarantinedFile> left_out;
  const auto leave_out = [&](const std::string& name, const std::string& reason) {
    left_out.push_back({PrintableUtf8(name), reason});
  };
  for (uint64_t members = 0;; ++members) {
    MEAD_ASSIGN_OR_RETURN(const std::optional<ArchiveMember> member, reader->Next());
    if (!member) break;
    const std::string& name = member->name;
    const fs::path to = fs::path(folder) / fs::path(name).lexically_normal();
    std::error_code error;
    if (member->is_folder) {
      MEAD_RETURN_IF_ERROR(MakeDirs(to));
    } else if (!member->is_file) {
      leave_out(name, "a link or device in the archive");
    } else if (fs::exists(fs::symlink_status(to, error))) {
      leave_out(name, "a second member of this name in the archive");
    } else {
      MEAD_RETURN_IF_ERROR(MakeDirs(to.parent_path()));
      // Tars of samples in an archive may have any size.
      const uint64_t limit = IsArchiveName(name) ? UINT64_MAX : kMaxImageFileBytes;
      bool whole = member->bytes.value_or(0) <= limit;
      if (whole) {
        MEAD_ASSIGN_OR_RETURN(whole, reader->CopyTo(to, limit, left_bytes));
      }
      if (!whole) leave_out(name, absl::StrCat("larger than ", limit >> 20, " MiB"));
    }
    if (progress && members % 64 == 0) {
      progress("unpack", reader->bytes_read(), reader->bytes_total());
    }
  }
  if (progress) progress("unpack", reader->bytes_total(), reader->bytes_total());
  return left_out;
}

}  // namespace mead::dataset
