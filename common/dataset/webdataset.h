// Takes in WebDataset tars: pictures and labels as the Python package `webdataset` writes them.
//
// A sample is what shares a name up to the first dot of its last part: "00017.jpg" and "00017.cls".
// Picture: jpg, jpeg, png, webp, tif or tiff. Label: cls, a class's number or its name. Other
// members are passed over. Numbers are named by classes.txt beside the tars, one class per line, in
// label order; without it they are the names. Split:  by a folder or the beginning of the tar's
// name: train/..., test-000000.tar. All tars must
//         tell, or none.
// Source: https://github.com/webdataset/webdataset
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/dataset/build.h"
#include "common/dataset/found.h"

namespace mead::dataset {

// The tars, sorted, if that is what `path` is: a tar with a label among its first members, or a
// folder of such tars (at the top, or in train/ and test/ folders) without class folders.
std::vector<std::string> FindWebDataset(const std::string& path);

// Unpacks the pictures of `tars`, which lie in or under `root`, below `folder` (made if missing).
// Keys are the tar's path without its ending, and the member's name. Progress counts the tars'
// bytes ("unpack").
// Errors: as Unpack; INVALID_ARGUMENT for classes as in AssignClasses, a number that classes.txt
// does not have, and tars of which only some tell their split.
[[nodiscard]] absl::StatusOr<Found> UnpackWebDataset(const std::vector<std::string>& tars,
                                                     const std::string& root,
                                                     const std::string& folder,
                                                     const Progress& progress);

}  // namespace mead::dataset
