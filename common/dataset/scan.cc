#include "common/dataset/scan.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/dataset/image.h"
#include "common/dataset/names.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

bool IsJunk(const std::string& name) {
  return name.empty() || name[0] == '.' || name == "__MACOSX" || name == "Thumbs.db" ||
         name == "desktop.ini";
}

class Scanner {
 public:
  explicit Scanner(const Progress& progress) : progress_(progress) {}

  absl::StatusOr<Found> Run(const std::string& path);

 private:
  // The entries of one folder, sorted, without junk; links to folders are quarantined.
  struct Listing {
    std::vector<std::string> folders;
    std::vector<std::string> files;
  };
  absl::StatusOr<Listing> List(const fs::path& folder);
  absl::Status FindRoot(const std::string& path);
  absl::Status AddClasses(const std::string& prefix, const std::vector<std::string>& folders,
                          std::optional<Split> split);
  absl::StatusOr<uint64_t> AddFiles(const std::string& prefix, FoundFile file);
  absl::Status CheckClassNames() const;
  void Quarantine(const std::string& path, const std::string& reason) {
    found_.quarantined.push_back({PrintableUtf8(path), reason});
  }

  const Progress& progress_;
  fs::path root_;
  Listing top_;
  Found found_;
  // The class folders, e.g. "train/polyp", and their names; class ids come when all are known.
  std::vector<std::pair<std::string, std::string>> class_folders_;
  std::vector<std::string> class_of_file_;
};

absl::StatusOr<Scanner::Listing> Scanner::List(const fs::path& folder) {
  std::error_code error;
  Listing listing;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (IsJunk(name)) continue;
    const std::string relative = it->path().lexically_relative(root_).generic_string();
    std::error_code entry_error;
    const bool is_link = it->is_symlink(entry_error);
    const fs::file_status status = it->status(entry_error);  // of what a link points to
    if (is_link) {
      const fs::path target = fs::canonical(it->path(), entry_error);
      const fs::path inside = target.lexically_relative(root_);
      if (entry_error || inside.empty() || *inside.begin() == "..") {
        Quarantine(relative, entry_error ? "a broken link" : "a link that leaves the folder");
        continue;
      }
      if (fs::is_directory(status)) {
        Quarantine(relative, "a link to a folder: not followed");
        continue;
      }
    }
    if (fs::is_directory(status)) {
      listing.folders.push_back(name);
    } else if (fs::is_regular_file(status)) {
      listing.files.push_back(name);
    } else {
      Quarantine(relative, "not a regular file");
    }
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot list ", folder.string()));
  std::sort(listing.folders.begin(), listing.folders.end());
  std::sort(listing.files.begin(), listing.files.end());
  return listing;
}

absl::Status Scanner::FindRoot(const std::string& path) {
  std::error_code error;
  root_ = fs::canonical(path, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot open ", path));
  if (!fs::is_directory(root_, error)) {
    return absl::InvalidArgumentError(absl::StrCat(
        path, " is not a folder: expected a folder with one folder of pictures per class"));
  }
  MEAD_ASSIGN_OR_RETURN(top_, List(root_));
  while (top_.folders.size() == 1) {
    MEAD_ASSIGN_OR_RETURN(Listing below, List(root_ / top_.folders[0]));
    if (below.folders.empty()) break;
    // A folder that wraps the class folders: look through it.
    root_ /= top_.folders[0];
    found_.quarantined.clear();
    MEAD_ASSIGN_OR_RETURN(top_, List(root_));
  }
  found_.root = root_.string();
  return absl::OkStatus();
}

absl::Status Scanner::AddClasses(const std::string& prefix, const std::vector<std::string>& folders,
                                 std::optional<Split> split) {
  for (const std::string& folder : folders) {
    const std::string name = TrimName(folder);
    if (!IsValidUtf8(folder) || name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the class folder '", PrintableUtf8(prefix + folder), "' has a name that is ",
          name.empty() ? "blank" : "not UTF-8", ": rename it"));
    }
    class_folders_.emplace_back(prefix + folder, name);
    const size_t before = found_.files.size();
    FoundFile file;
    file.split = split;
    MEAD_ASSIGN_OR_RETURN(const uint64_t seen, AddFiles(absl::StrCat(prefix, folder, "/"), file));
    class_of_file_.resize(found_.files.size(), name);
    if (found_.files.size() == before) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the class folder '", prefix, folder, "' has no pictures",
          seen > 0 ? HintOf(found_.quarantined) : "", ": put ", kImageFormats,
          " files into it, or remove it if it is not a class"));
    }
  }
  return absl::OkStatus();
}

// Returns how many files it saw, used or not.
absl::StatusOr<uint64_t> Scanner::AddFiles(const std::string& prefix, FoundFile file) {
  const size_t quarantined_before = found_.quarantined.size();
  MEAD_ASSIGN_OR_RETURN(const Listing listing, List(root_ / prefix));
  for (const std::string& name : listing.files) {
    file.key = prefix + name;
    if (!IsValidUtf8(file.key)) {
      Quarantine(file.key, "the file's name is not UTF-8: rename it");
      continue;
    }
    found_.files.push_back(file);
    if (progress_ && found_.files.size() % 256 == 0) progress_("scan", found_.files.size(), 0);
  }
  uint64_t seen = listing.files.size() + found_.quarantined.size() - quarantined_before;
  for (const std::string& name : listing.folders) {
    MEAD_ASSIGN_OR_RETURN(const uint64_t below, AddFiles(absl::StrCat(prefix, name, "/"), file));
    seen += below;
  }
  return seen;
}

absl::Status Scanner::CheckClassNames() const {
  std::map<std::string, const std::pair<std::string, std::string>*> by_fold;
  std::map<std::string, std::string> parent_of;  // fold + parent folder -> first folder
  for (const auto& folder : class_folders_) {
    const std::string fold = FoldName(folder.second);
    const auto [it, inserted] = by_fold.emplace(fold, &folder);
    const std::string parent = fs::path(folder.first).parent_path().string();
    const auto [twin, alone] = parent_of.emplace(absl::StrCat(parent, "/", fold), folder.first);
    if (!alone || it->second->second != folder.second) {
      const std::string& other = alone ? it->second->first : twin->second;
      return absl::InvalidArgumentError(absl::StrCat(
          "the folders '", other, "' and '", folder.first,
          "' name one class (names that differ only in letter case or white space are one): ",
          "merge them, or rename one"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<Found> Scanner::Run(const std::string& path) {
  MEAD_RETURN_IF_ERROR(FindRoot(path));
  std::vector<std::string> split_folders;
  std::vector<std::string> others;
  bool has_train = false;
  for (const std::string& name : top_.folders) {
    const auto split = SplitOfWord(name);
    (split ? split_folders : others).push_back(name);
    has_train |= split == Split::kTrain;
  }
  for (const std::string& name : top_.files) Quarantine(name, "lies outside the class folders");
  found_.split_given = has_train && split_folders.size() >= 2;
  if (found_.split_given) {
    if (!others.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", found_.root, "' has the folders ", absl::StrJoin(split_folders, ", "),
                       " and beside them '", others[0], "': put every class folder into ",
                       absl::StrJoin(split_folders, " and "),
                       ", or have class folders only (then the split is made for you)"));
    }
    for (const std::string& name : split_folders) {
      MEAD_ASSIGN_OR_RETURN(const Listing listing, List(root_ / name));
      for (const std::string& file : listing.files) {
        Quarantine(absl::StrCat(name, "/", file), "lies outside the class folders");
      }
      MEAD_RETURN_IF_ERROR(AddClasses(absl::StrCat(name, "/"), listing.folders, SplitOfWord(name)));
    }
  } else {
    MEAD_RETURN_IF_ERROR(AddClasses("", top_.folders, std::nullopt));
  }
  MEAD_RETURN_IF_ERROR(CheckClassNames());

  MEAD_RETURN_IF_ERROR(AssignClasses(class_of_file_, {},
                                     "expected one folder of pictures per class, at least two, or "
                                     "train/ and test/ folders of them",
                                     found_));
  if (progress_) progress_("scan", found_.files.size(), found_.files.size());
  return std::move(found_);
}

}  // namespace

absl::StatusOr<Found> ScanFolder(const std::string& path, const Progress& progress) {
  return Scanner(progress).Run(path);
}

}  // namespace mead::dataset
