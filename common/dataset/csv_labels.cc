#include "common/dataset/csv_labels.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/dataset/csv_table.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

// Ten million rows and more; a larger file is hardly a table of pictures.
constexpr uint64_t kMaxCsvBytes = 1u << 30;

struct Columns {
  size_t picture = 0;
  size_t label = 0;
  std::optional<size_t> split;
};

std::optional<size_t> FindColumn(const CsvRow& head, const std::vector<std::string>& names) {
  for (const std::string& name : names) {
    for (size_t i = 0; i < head.size(); ++i) {
      if (FoldName(PrintableUtf8(head[i])) == name) return i;
    }
  }
  return std::nullopt;
}

absl::StatusOr<Columns> ColumnsOf(const CsvRow& head, const std::string& name) {
  static const std::vector<std::string> kPicture = {"path",  "file",       "filename", "file_name",
                                                    "image", "image_path", "picture"};
  static const std::vector<std::string> kLabel = {"label", "class", "class_name", "category",
                                                  "finding"};
  const auto picture = FindColumn(head, kPicture);
  const auto label = FindColumn(head, kLabel);
  if (!picture || !label) {
    std::vector<std::string> there;
    for (const std::string& column : head) there.push_back(PrintableUtf8(column));
    return absl::InvalidArgumentError(absl::StrCat(
        name, ": no column for the ", picture ? "class" : "picture", " in its first row (",
        absl::StrJoin(there, ", "), "): name it ",
        picture ? "label (or class, category, finding)" : "path (or file, filename, image)"));
  }
  return Columns{
      .picture = *picture, .label = *label, .split = FindColumn(head, {"split", "set", "subset"})};
}

class CsvScanner {
 public:
  explicit CsvScanner(const std::string& path) : path_(path) {}

  absl::StatusOr<Found> Run(const Progress& progress);

 private:
  absl::Status AddRow(const CsvRow& row, const Columns& columns, uint64_t number);
  // Relative to the root; empty where there is no such file.
  absl::StatusOr<std::string> FileOf(const std::string& text, const std::string& where) const;
  absl::Status CheckSpelling(const std::string& label, const std::string& where);
  absl::Status CheckSplit();
  void LeaveOut(const std::string& file, const std::string& reason) {
    found_.quarantined.push_back({PrintableUtf8(file), reason});
  }

  const std::string path_;
  Found found_;
  std::vector<std::string> class_of_file_;
  std::map<std::string, std::pair<uint64_t, std::string>> seen_;          // key -> row, class
  std::map<std::string, std::pair<std::string, std::string>> spellings_;  // fold -> class, where
  uint64_t without_split_ = 0;                                            // a row
};

absl::StatusOr<std::string> CsvScanner::FileOf(const std::string& text,
                                               const std::string& where) const {
  const fs::path name = fs::path(text).lexically_normal();
  if (name.is_absolute() || (!name.empty() && *name.begin() == "..")) {
    return absl::InvalidArgumentError(
        absl::StrCat(where, ": '", PrintableUtf8(text), "' leaves the folder of the CSV file: put ",
                     "the file beside the pictures, and name them relative to it"));
  }
  for (const char* ending : {"", ".jpg", ".jpeg", ".png"}) {
    std::error_code error;
    const fs::path full = fs::path(found_.root) / (name.string() + ending);
    const fs::path real = fs::canonical(full, error);
    if (error || !fs::is_regular_file(real, error)) continue;
    const fs::path inside = real.lexically_relative(found_.root);
    if (inside.empty() || *inside.begin() == "..") continue;  // a link that leaves the folder
    return name.generic_string() + ending;
  }
  return std::string();
}

absl::Status CsvScanner::CheckSpelling(const std::string& label, const std::string& where) {
  const auto [it, inserted] = spellings_.emplace(FoldName(label), std::pair(label, where));
  if (inserted || it->second.first == label) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(where, ": '", label, "' and '", it->second.first,
                                                 "' (", it->second.second,
                                                 ") name one class (names that differ only in "
                                                 "letter case or white space are one): write one"));
}

absl::Status CsvScanner::AddRow(const CsvRow& row, const Columns& columns, uint64_t number) {
  const std::string where = absl::StrCat(path_, ", row ", number);
  const auto field = [&](size_t i) { return i < row.size() ? TrimName(row[i]) : std::string(); };
  const std::string text = field(columns.picture);
  const std::string label = field(columns.label);
  if (text.empty() || label.empty() || !IsValidUtf8(text) || !IsValidUtf8(label)) {
    LeaveOut(text.empty() ? absl::StrCat("row ", number) : text,
             text.empty()          ? "no picture is named"
             : label.empty()       ? absl::StrCat("row ", number, " has no class")
             : !IsValidUtf8(label) ? absl::StrCat("row ", number, "'s class is not UTF-8")
                                   : "the file's name is not UTF-8: rename it");
    return absl::OkStatus();
  }
  MEAD_ASSIGN_OR_RETURN(const std::string key, FileOf(text, where));
  if (key.empty()) {
    LeaveOut(text, absl::StrCat("row ", number, " names it, and there is no such file"));
    return absl::OkStatus();
  }
  MEAD_RETURN_IF_ERROR(CheckSpelling(label, where));
  const auto [it, inserted] = seen_.emplace(key, std::pair(number, label));
  if (!inserted) {
    if (it->second.second != label) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": '", key, "' is of class '", label, "', and of class '", it->second.second,
          "' in row ", it->second.first, ": a picture has one class here; keep one row"));
    }
    LeaveOut(key, absl::StrCat("row ", number, " names it again, after row ", it->second.first));
    return absl::OkStatus();
  }
  FoundFile file{.key = key, .class_id = 0, .split = std::nullopt};
  if (columns.split) {
    const std::string split = field(*columns.split);
    file.split = SplitOfWord(PrintableUtf8(split));
    if (!file.split && !split.empty()) {
      return absl::InvalidArgumentError(absl::StrCat(
          where, ": the split is '", PrintableUtf8(split), "': expected train, test or val"));
    }
    if (!file.split && without_split_ == 0) without_split_ = number;
  }
  found_.split_given |= file.split == Split::kVal;
  found_.files.push_back(std::move(file));
  class_of_file_.push_back(label);
  return absl::OkStatus();
}

absl::Status CsvScanner::CheckSplit() {
  if (found_.split_given && without_split_ > 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ", row ", without_split_,
                     " has no split and others have: fill it in, or remove the column"));
  }
  // All for training is no split: it is made as if the column were not there.
  if (!found_.split_given) {
    for (FoundFile& file : found_.files) file.split.reset();
  }
  return absl::OkStatus();
}

absl::StatusOr<Found> CsvScanner::Run(const Progress& progress) {
  std::error_code error;
  const uint64_t bytes = fs::file_size(path_, error);
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot open ", path_));
  if (bytes > kMaxCsvBytes) {
    return absl::InvalidArgumentError(absl::StrCat(path_, " has ", bytes, " bytes: a table of ",
                                                   "pictures has at most ", kMaxCsvBytes));
  }
  found_.root = fs::canonical(fs::absolute(path_).parent_path(), error).string();
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot open the folder of ", path_));
  MEAD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path_));
  MEAD_ASSIGN_OR_RETURN(const std::vector<CsvRow> rows, ParseCsv(text, path_));
  if (rows.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, " is empty: expected a row of column names, such as path,label, and a ",
                     "row per picture"));
  }
  MEAD_ASSIGN_OR_RETURN(const Columns columns, ColumnsOf(rows[0], path_));
  for (size_t i = 1; i < rows.size(); ++i) {
    MEAD_RETURN_IF_ERROR(AddRow(rows[i], columns, i + 1));
    if (progress && i % 256 == 0) progress("scan", i, rows.size() - 1);
  }
  MEAD_RETURN_IF_ERROR(CheckSplit());
  MEAD_RETURN_IF_ERROR(AssignClasses(
      class_of_file_, {}, "expected a row per picture, of at least two classes", found_));
  if (progress) progress("scan", rows.size() - 1, rows.size() - 1);
  return std::move(found_);
}

struct Entries {
  std::vector<std::string> folders;
  std::vector<std::string> tables;  // CSV files
};

Entries EntriesOf(const std::string& folder) {
  Entries entries;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (name[0] == '.' || name == "__MACOSX") continue;
    if (fs::is_directory(it->status(ignored))) {
      entries.folders.push_back(it->path().string());
    } else if (IsCsvName(name)) {
      entries.tables.push_back(it->path().string());
    }
  }
  return entries;
}

}  // namespace

bool IsCsvName(const std::string& path) {
  const std::string name = FoldName(PrintableUtf8(path));
  return name.ends_with(".csv") || name.ends_with(".tsv");
}

std::string FindCsv(const std::string& folder) {
  const Entries top = EntriesOf(folder);
  if (top.tables.size() != 1 || top.folders.size() > 1) return "";
  // Class folders below the only folder: the table is about something else.
  if (!top.folders.empty() && EntriesOf(top.folders[0]).folders.size() > 1) return "";
  return top.tables[0];
}

absl::StatusOr<Found> ScanCsv(const std::string& path, const Progress& progress) {
  return CsvScanner(path).Run(progress);
}

}  // namespace mead::dataset
