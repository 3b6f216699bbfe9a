// Writes pictures into WebDataset shards: tar files of about 64 MB whose members are
// "<name>.jpg" (.png, .webp, .tif), the file's own bytes, and "<name>.cls", the class id in decimal
// digits.
//
// Any WebDataset reader can read them; ours goes by the offsets in the manifest. Times and owners
// are zero, so that the same pictures give the same bytes.
// Source: https://github.com/webdataset/webdataset (a sample is what shares a name up to the first
// dot of its last part); pax tar as libarchive writes it (ustar unless a name needs more).
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/dataset/build.h"
#include "common/dataset/image.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

struct PackItem {
  std::string path;  // of the file
  ImageFormat format = ImageFormat::kJpeg;
};

// Fills in shard, offset and size of manifest.samples, and manifest.shards. Samples are packed in
// their order, which must have each split in one piece. items: one per sample. Progress counts
// pictures ("pack").
// Errors: RESOURCE_EXHAUSTED (disk full), FAILED_PRECONDITION (a file changed since it was
// checked).
[[nodiscard]] absl::Status Pack(const std::vector<PackItem>& items, const std::string& out_dir,
                                uint64_t shard_bytes, const Progress& progress, Manifest& manifest);

}  // namespace mead::dataset
