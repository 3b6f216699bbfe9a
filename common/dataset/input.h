// From what a user points at to pictures' files with classes: whichever layout it has.
//
// Layouts: a folder per class, train and test folders of them (scan.h); a CSV file, or a folder
// with
//          one (csv_labels.h); WebDataset tars, or a folder of them (webdataset.h); an archive of
//          any of these. What is packed is unpacked below a folder of the caller's.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/dataset/build.h"
#include "common/dataset/found.h"

namespace mead::dataset {

// scratch: made if something is unpacked; Found::root then lies in it.
// Errors: NOT_FOUND (no such path; names near ones), and those of the layouts.
[[nodiscard]] absl::StatusOr<Found> FindPictures(const std::string& path,
                                                 const std::string& scratch,
                                                 const Progress& progress);

}  // namespace mead::dataset
