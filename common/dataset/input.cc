#include "common/dataset/input.h"

#include <filesystem>
#include <iterator>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/dataset/archive.h"
#include "common/dataset/csv_labels.h"
#include "common/dataset/scan.h"
#include "common/dataset/webdataset.h"
#include "common/near_names.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

// A folder that only wraps another, as archives often have one, is looked through.
std::string Unwrap(std::string folder) {
  for (;;) {
    std::vector<fs::path> inside;
    std::error_code error;
    for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name[0] != '.' && name != "__MACOSX") inside.push_back(it->path());
    }
    if (inside.size() != 1 || !fs::is_directory(inside[0], error)) return folder;
    folder = inside[0].string();
  }
}

absl::Status CheckExists(const std::string& given) {
  const fs::path path(given);
  std::error_code error;
  if (fs::exists(path, error)) return absl::OkStatus();
  if (error && error != std::errc::no_such_file_or_directory) {
    return ErrnoStatus(error.value(), absl::StrCat("cannot open ", given));
  }
  // Names near the first part of the path that is missing.
  fs::path there = fs::absolute(path).lexically_normal();
  if (!there.has_filename()) there = there.parent_path();
  while (there.has_relative_path() && !fs::exists(there.parent_path(), error)) {
    there = there.parent_path();
  }
  std::vector<std::string> siblings;
  for (fs::directory_iterator it(there.parent_path(), error), end; !error && it != end;
       it.increment(error)) {
    siblings.push_back(it->path().filename().string());
  }
  return absl::NotFoundError(absl::StrCat(
      "no such folder or archive: ", given, " ('", there.filename().string(), "' is not in ",
      there.parent_path().string(), ")", DidYouMean(there.filename().string(), siblings)));
}

absl::StatusOr<Found> FindInFolder(const std::string& path, const std::string& scratch,
                                   const Progress& progress) {
  const std::string folder = Unwrap(path);
  if (const std::vector<std::string> tars = FindWebDataset(folder); !tars.empty()) {
    return UnpackWebDataset(tars, folder, scratch + "/samples", progress);
  }
  if (const std::string csv = FindCsv(folder); !csv.empty()) return ScanCsv(csv, progress);
  return ScanFolder(path, progress);
}

}  // namespace

absl::StatusOr<Found> FindPictures(const std::string& path, const std::string& scratch,
                                   const Progress& progress) {
  MEAD_RETURN_IF_ERROR(CheckExists(path));
  if (fs::is_directory(path)) return FindInFolder(path, scratch, progress);
  if (IsCsvName(path)) return ScanCsv(path, progress);
  if (const std::vector<std::string> tars = FindWebDataset(path); !tars.empty()) {
    return UnpackWebDataset(tars, fs::absolute(path).parent_path().string(), scratch, progress);
  }
  if (!IsArchiveName(path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is neither a folder nor an archive: expected a folder with one folder of pictures ",
        "per class, a CSV file of path,label, WebDataset tars, or a .zip or .tar.gz of any of "
        "them"));
  }
  MEAD_ASSIGN_OR_RETURN(std::vector<QuarantinedFile> left_out,
                        Unpack(path, scratch + "/archive", progress));
  absl::StatusOr<Found> found = FindInFolder(scratch + "/archive", scratch, progress);
  if (!found.ok()) return Annotate(found.status(), absl::StrCat("in ", path));
  found->quarantined.insert(found->quarantined.end(), left_out.begin(), left_out.end());
  return found;
}

}  // namespace mead::dataset
