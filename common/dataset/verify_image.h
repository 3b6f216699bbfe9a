// Decode-checks pictures before they become part of a data set, so that training never meets one
// that it cannot read.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/dataset/build.h"
#include "common/dataset/image.h"
#include "common/dataset/thumbnail.h"

namespace mead::dataset {

struct CheckedImage {
  ImageInfo info;
  uint64_t bytes = 0;
  std::string digest;  // of the file's bytes
  Thumbnail thumbnail;
};

// Reads, hashes and decodes the file.
// Errors: any; the message is the reason to quarantine it, without the file's name.
[[nodiscard]] absl::StatusOr<CheckedImage> CheckImageFile(const std::string& path,
                                                          ImageDecoder& decoder);

// Checks all files on `threads` threads (0: one per core, at most 8); results in the order of
// `paths`. Progress counts files ("check"), and is called on the calling thread.
std::vector<absl::StatusOr<CheckedImage>> CheckImageFiles(const std::vector<std::string>& paths,
                                                          int threads, const Progress& progress);

}  // namespace mead::dataset
