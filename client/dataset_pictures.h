// A few training pictures of a data set, as files in memory: of the coordinator's, from which
// nothing else is downloaded, or of what lies on this machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/connection.h"

namespace mead::client {

struct PictureFile {
  uint64_t sample = 0;  // the index within the training split
  std::string key;      // its path in the data set
  std::string class_name;
  std::string bytes;  // JPEG or PNG
};

struct PictureChoice {
  int count = 6;
  std::string class_name;  // only of this one; empty: of all classes by turns
  uint64_t seed = 1;       // of which pictures
};

// The places of the chosen in `classes` (the class of every picture), sorted by class, then by
// place; fewer than asked for if there are no more. only: of this class.
// Thread: pure; deterministic.
std::vector<uint64_t> ChoosePictures(const std::vector<uint32_t>& classes, uint32_t num_classes,
                                     int count, std::optional<uint32_t> only, uint64_t seed);

// Errors: NOT_FOUND (no such data set or class; names near ones), those of DownloadPicture.
[[nodiscard]] absl::StatusOr<std::vector<PictureFile>> PicturesOfDataset(
    Connection* connection, const std::string& name, const PictureChoice& choice);

// path: whatever `mead dataset add` takes; scratch: a folder for what is packed.
// Errors: as dataset::FindPictures, NOT_FOUND for the class.
[[nodiscard]] absl::StatusOr<std::vector<PictureFile>> PicturesOfPath(const std::string& path,
                                                                      const std::string& scratch,
                                                                      const PictureChoice& choice);

}  // namespace mead::client
