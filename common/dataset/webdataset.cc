#include "common/dataset/webdataset.h"

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/dataset/archive_reader.h"
#include "common/dataset/image.h"
#include "common/dataset/names.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxLabelBytes = 4096;
// A tar whose first members have no label is no WebDataset.
constexpr int kMembersLookedAt = 64;
constexpr char kClassesFile[] = "classes.txt";

enum class Part { kPicture, kLabel, kOther };

struct PartName {
  std::string key;  // of the sample
  Part part = Part::kOther;
};

PartName PartOf(const std::string& member) {
  static const std::set<std::string> kPictures = {"jpg", "jpeg", "png", "webp", "tif", "tiff"};
  const size_t slash = member.rfind('/');
  const size_t start = slash == std::string::npos ? 0 : slash + 1;
  const size_t dot = member.find('.', start);
  if (dot == std::string::npos || dot == start) return {};
  const std::string extension = absl::AsciiStrToLower(member.substr(dot + 1));
  return {.key = member.substr(0, dot),
          .part = kPictures.contains(extension) ? Part::kPicture
                  : extension == "cls"          ? Part::kLabel
                                                : Part::kOther};
}

bool IsTarName(const std::string& path) {
  const std::string name = FoldName(path);
  for (const char* end : {".tar", ".tar.gz", ".tgz"}) {
    if (name.ends_with(end)) return true;
  }
  return false;
}

bool HasLabels(const std::string& path) {
  auto reader = ArchiveReader::Open(path);
  if (!reader.ok()) return false;
  for (int i = 0; i < kMembersLookedAt; ++i) {
    const auto member = (*reader)->Next();
    if (!member.ok() || !*member) return false;
    if ((*member)->is_file && PartOf((*member)->name).part == Part::kLabel) return true;
  }
  return false;
}

// Without the ending that made it a tar.
std::string Stem(const fs::path& path) {
  const std::string name = path.generic_string();
  const std::string folded = FoldName(name);
  for (const std::string end : {".tar.gz", ".tgz", ".tar"}) {
    if (folded.ends_with(end)) return name.substr(0, name.size() - end.size());
  }
  return name;
}

// "train/a" and "train-000001" are train; "trained" says nothing.
std::optional<Split> SplitOfTar(const fs::path& relative) {
  for (const fs::path& part : relative) {
    const std::string text = Stem(part);
    if (const auto split = SplitOfWord(text.substr(0, text.find_first_of("-_.")))) return split;
  }
  return std::nullopt;
}

// The classes in label order; empty without the file.
absl::StatusOr<std::vector<std::string>> ClassesFile(const std::string& root) {
  const fs::path path = fs::path(root) / kClassesFile;
  std::error_code error;
  if (!fs::exists(path, error)) return std::vector<std::string>();
  MEAD_ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  std::vector<std::string> classes;
  for (const auto line : absl::StrSplit(text, '\n', absl::SkipWhitespace())) {
    classes.push_back(TrimName(ToStd(line)));
    const std::string& name = classes.back();
    if (!IsValidUtf8(name) || std::count(classes.begin(), classes.end(), name) > 1) {
      return absl::InvalidArgumentError(
          absl::StrCat(path.string(), ", line ", classes.size(), ": '", PrintableUtf8(name),
                       "' is ", IsValidUtf8(name) ? "there twice" : "not UTF-8",
                       ": expected one class per line, in label order"));
    }
  }
  return classes;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
}

class Unpacker {
 public:
  Unpacker(std::string root, std::string folder, uint64_t left_bytes, const Progress& progress)
      : root_(std::move(root)), left_bytes_(left_bytes), progress_(progress) {
    found_.root = std::move(folder);
  }

  absl::Status ReadClasses() {
    MEAD_ASSIGN_OR_RETURN(classes_, ClassesFile(root_));
    return absl::OkStatus();
  }
  absl::Status AddTar(const std::string& tar, uint64_t done, uint64_t total);
  absl::StatusOr<Found> Finish();

 private:
  struct Sample {
    std::string file;  // relative to the folder; empty: no picture yet
    std::string label;
    bool labelled = false;
  };

  absl::Status TakePicture(ArchiveReader& reader, const ArchiveMember& member,
                           const std::string& prefix, Sample& sample);
  absl::Status TakeLabel(ArchiveReader& reader, Sample& sample);
  absl::Status CloseTar(const std::string& prefix, std::optional<Split> split);
  absl::StatusOr<std::string> ClassOf(const Sample& sample, const std::string& name) const;
  void LeaveOut(const std::string& path, const std::string& reason) {
    found_.quarantined.push_back({PrintableUtf8(path), reason});
  }

  const std::string root_;
  uint64_t left_bytes_;
  const Progress& progress_;
  Found found_;
  std::vector<std::string> classes_;
  std::vector<std::string> class_of_file_;
  std::map<std::string, Sample> samples_;  // of the tar at hand, by key
};

absl::Status Unpacker::TakePicture(ArchiveReader& reader, const ArchiveMember& member,
                                   const std::string& prefix, Sample& sample) {
  const std::string name =
      fs::path(absl::StrCat(prefix, "/", member.name)).lexically_normal().generic_string();
  if (!sample.file.empty()) {
    LeaveOut(name, absl::StrCat("a second picture of its sample, after ", sample.file));
    return absl::OkStatus();
  }
  if (!IsValidUtf8(name)) {
    LeaveOut(name, "the member's name is not UTF-8: pack it under another");
    return absl::OkStatus();
  }
  const fs::path to = fs::path(found_.root) / name;
  bool whole = member.bytes.value_or(0) <= kMaxImageFileBytes;
  if (whole) {
    MEAD_RETURN_IF_ERROR(MakeDirs(to.parent_path()));
    MEAD_ASSIGN_OR_RETURN(whole, reader.CopyTo(to, kMaxImageFileBytes, left_bytes_));
  }
  if (whole) {
    sample.file = name;
  } else {
    LeaveOut(name, absl::StrCat("larger than ", kMaxImageFileBytes >> 20, " MiB"));
  }
  return absl::OkStatus();
}

absl::Status Unpacker::TakeLabel(ArchiveReader& reader, Sample& sample) {
  MEAD_ASSIGN_OR_RETURN(const std::string text, reader.Read(kMaxLabelBytes));
  sample.label = TrimName(text);
  sample.labelled = !sample.label.empty();
  return absl::OkStatus();
}

absl::StatusOr<std::string> Unpacker::ClassOf(const Sample& sample, const std::string& name) const {
  if (classes_.empty()) return sample.label;
  const bool known = std::count(classes_.begin(), classes_.end(), sample.label) > 0;
  if (known) return sample.label;
  uint64_t id = 0;
  if (IsNumber(sample.label) && absl::SimpleAtoi(sample.label, &id) && id < classes_.size()) {
    return classes_[id];
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the label of ", name, " is '", PrintableUtf8(sample.label),
      "', which classes.txt does not have: it has ", classes_.size(), " classes, numbered from 0"));
}

absl::Status Unpacker::CloseTar(const std::string& prefix, std::optional<Split> split) {
  for (const auto& [key, sample] : samples_) {
    const std::string name = absl::StrCat(prefix, "/", key);
    if (sample.file.empty()) {
      if (sample.labelled) LeaveOut(name, "a label without a picture");
      continue;
    }
    if (!sample.labelled || !IsValidUtf8(sample.label)) {
      LeaveOut(sample.file, sample.labelled ? "its label is not UTF-8" : "no label beside it");
      continue;
    }
    MEAD_ASSIGN_OR_RETURN(std::string label, ClassOf(sample, name));
    found_.files.push_back({.key = sample.file, .class_id = 0, .split = split});
    class_of_file_.push_back(std::move(label));
  }
  samples_.clear();
  return absl::OkStatus();
}

absl::Status Unpacker::AddTar(const std::string& tar, uint64_t done, uint64_t total) {
  const fs::path relative = fs::path(tar).lexically_relative(root_);
  const std::string prefix = Stem(relative);
  MEAD_ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveReader> reader, ArchiveReader::Open(tar));
  for (uint64_t members = 0;; ++members) {
    MEAD_ASSIGN_OR_RETURN(const std::optional<ArchiveMember> member, reader->Next());
    if (!member) break;
    if (progress_ && members % 64 == 0) progress_("unpack", done + reader->bytes_read(), total);
    const PartName part = PartOf(fs::path(member->name).lexically_normal().generic_string());
    if (!member->is_file || part.part == Part::kOther) continue;
    Sample& sample = samples_[part.key];
    MEAD_RETURN_IF_ERROR(part.part == Part::kPicture ? TakePicture(*reader, *member, prefix, sample)
                                                     : TakeLabel(*reader, sample));
  }
  return CloseTar(prefix, SplitOfTar(relative));
}

absl::StatusOr<Found> Unpacker::Finish() {
  const auto given = std::count_if(found_.files.begin(), found_.files.end(),
                                   [](const FoundFile& file) { return file.split.has_value(); });
  if (given > 0 && given < std::ssize(found_.files)) {
    const auto silent = std::find_if(found_.files.begin(), found_.files.end(),
                                     [](const FoundFile& file) { return !file.split; });
    return absl::InvalidArgumentError(absl::StrCat(
        "some tars tell their split by their names (train-..., test-...), and the one of '",
        silent->key, "' does not: rename it, or all of them (then the split is made for you)"));
  }
  found_.split_given = std::any_of(found_.files.begin(), found_.files.end(),
                                   [](const FoundFile& f) { return f.split == Split::kVal; });
  // All for training is no split: it is made as for tars that say nothing.
  if (!found_.split_given) {
    for (FoundFile& file : found_.files) file.split.reset();
  }
  std::vector<std::string> order = classes_;
  if (order.empty() && std::all_of(class_of_file_.begin(), class_of_file_.end(), IsNumber)) {
    const std::set<std::string> names(class_of_file_.begin(), class_of_file_.end());
    order.assign(names.begin(), names.end());
    std::stable_sort(order.begin(), order.end(), [](const std::string& a, const std::string& b) {
      return a.size() < b.size();  // 2 before 10
    });
  }
  MEAD_RETURN_IF_ERROR(AssignClasses(class_of_file_, std::move(order),
                                     "expected WebDataset tars with a picture and a label (.cls) "
                                     "per sample, of at least two classes",
                                     found_));
  return std::move(found_);
}

// The tars among a folder's files, and its folders.
std::pair<std::vector<std::string>, std::vector<std::string>> TarsAndFolders(const fs::path& path) {
  std::vector<std::string> tars;
  std::vector<std::string> folders;
  std::error_code error;
  for (fs::directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
    std::error_code ignored;
    const std::string name = it->path().filename().string();
    if (name.empty() || name[0] == '.') continue;
    if (fs::is_directory(it->status(ignored))) {
      folders.push_back(it->path().string());
    } else if (IsTarName(name)) {
      tars.push_back(it->path().string());
    }
  }
  return {tars, folders};
}

}  // namespace

std::vector<std::string> FindWebDataset(const std::string& path) {
  std::error_code error;
  if (!fs::is_directory(path, error)) {
    return IsTarName(path) && HasLabels(path) ? std::vector<std::string>{path}
                                              : std::vector<std::string>();
  }
  auto [tars, folders] = TarsAndFolders(path);
  if (tars.empty()) {
    for (const std::string& folder : folders) {
      if (!SplitOfWord(fs::path(folder).filename().string())) continue;
      const auto below = TarsAndFolders(folder).first;
      tars.insert(tars.end(), below.begin(), below.end());
    }
  }
  std::sort(tars.begin(), tars.end());
  if (tars.empty() || !HasLabels(tars.front())) return {};
  return tars;
}

absl::StatusOr<Found> UnpackWebDataset(const std::vector<std::string>& tars,
                                       const std::string& root, const std::string& folder,
                                       const Progress& progress) {
  MEAD_RETURN_IF_ERROR(MakeDirs(folder));
  MEAD_ASSIGN_OR_RETURN(const uint64_t left_bytes, BytesForUnpacking(folder));
  uint64_t total = 0;
  std::vector<uint64_t> sizes;
  for (const std::string& tar : tars) {
    std::error_code error;
    sizes.push_back(fs::file_size(tar, error));
    if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot open ", tar));
    total += sizes.back();
  }
  Unpacker unpacker(root, folder, left_bytes, progress);
  MEAD_RETURN_IF_ERROR(unpacker.ReadClasses());
  uint64_t done = 0;
  for (size_t i = 0; i < tars.size(); ++i) {
    MEAD_RETURN_IF_ERROR(unpacker.AddTar(tars[i], done, total));
    done += sizes[i];
  }
  if (progress) progress("unpack", total, total);
  return unpacker.Finish();
}

}  // namespace mead::dataset
