// Unpacks a .zip, .tar, .tar.gz (and what else libarchive reads) of pictures.
//
// An archive is somebody else's (archive_reader.h); links and devices are not made, and no picture
// is larger than kMaxImageFileBytes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/dataset/build.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

// By its name.
bool IsArchiveName(const std::string& path);

// Unpacks into `folder` (made if missing). Returns the members that were left out, and why.
// Progress counts the archive's bytes ("unpack"). max_bytes: that may be written at most.
// Errors: INVALID_ARGUMENT (not an archive, damaged, encrypted, a member's name leaves the folder),
// RESOURCE_EXHAUSTED (disk full, or max_bytes), NOT_FOUND.
[[nodiscard]] absl::StatusOr<std::vector<QuarantinedFile>> Unpack(const std::string& archive,
                                                                  const std::string& folder,
                                                                  const Progress& progress,
                                                                  uint64_t max_bytes = UINT64_MAX);

}  // namespace mead::dataset
