// Finds the class folders of a data set and the files in them; opens no file.
//
// Layouts: <root>/<class>/..., or <root>/{train,test}/<class>/... (also training, val, valid,
//          validation, testing; all but the first two are the evaluation split). Folders that only
//          wrap another (as in Kvasir's zip) are looked through. Files may lie at any depth in a
//          class folder. Hidden files, __MACOSX and Thumbs.db are ignored.
// Links:   a link to a file inside the root is followed; all others are quarantined.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/dataset/build.h"
#include "common/dataset/found.h"

namespace mead::dataset {

// Errors: NOT_FOUND, PERMISSION_DENIED; INVALID_ARGUMENT for no class folders, one class, an empty
// class folder, two folders that mean one class, and train/test folders mixed with others.
[[nodiscard]] absl::StatusOr<Found> ScanFolder(const std::string& path, const Progress& progress);

}  // namespace mead::dataset
