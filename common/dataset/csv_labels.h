// A table of pictures: a CSV file with a row per picture.
//
// Columns, by the first row: the picture (path, file, filename, image), its class (label, class,
// category, finding), and perhaps its split (split, set, subset: train, test, val, ...). Other
// columns are passed over. Pictures lie in or below the CSV file's folder, and their names are
// relative to it; an ending (.jpg, .jpeg, .png) may be missing.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "common/dataset/build.h"
#include "common/dataset/found.h"

namespace mead::dataset {

// By its name: .csv or .tsv.
bool IsCsvName(const std::string& path);

// The only CSV file at the top of `folder`, if there are no class folders in it (at most one
// folder, of pictures); else empty.
std::string FindCsv(const std::string& folder);

// Pictures that are not there, rows without a class and second rows of a picture are quarantined.
// Errors: INVALID_ARGUMENT (as ParseCsv and AssignClasses; a column is missing, a name that leaves
// the folder, a picture with two classes, a split only for some, two spellings of a class), each
// naming the row; NOT_FOUND, PERMISSION_DENIED.
[[nodiscard]] absl::StatusOr<Found> ScanCsv(const std::string& path, const Progress& progress);

}  // namespace mead::dataset
