#include "client/sweep_file.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <tuple>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/proto_reader.h"
#include "client/space_reader.h"
#include "common/files.h"
#include "common/near_names.h"

namespace mead::client {
namespace {

namespace fs = std::filesystem;

constexpr char kApiVersion[] = "mead/v1";
constexpr char kKind[] = "Sweep";
// Where something that is missing would stand.
const Location kTop{1, 1, {}};
// A sweep is a page of text; anything larger is the wrong file.
constexpr uint64_t kMaxFileBytes = 1 << 20;

// `apiVersion` and `kind` say what a file is before anything else is believed of it.
void CheckHeader(const YamlNode& root, const char* key, const char* wanted, ProtoReader* reader) {
  const YamlNode* node = root.Find(key);
  if (node == nullptr) {
    reader->Complain(kTop, key,
                     absl::StrCat("missing; begin the file with \"", key, ": ", wanted, "\""));
  } else if (node->kind != YamlNode::Kind::kScalar || node->text != wanted) {
    reader->Complain(node->at, key, absl::StrCat("wants ", wanted, ", got ", node->Describe()));
  }
}

void CheckRequired(const YamlNode& root, const char* key, const char* what, ProtoReader* reader) {
  if (root.Find(key) == nullptr) {
    reader->Complain(kTop, key, absl::StrCat("missing; ", what));
  }
}

// True when `inner` is `outer` or a part of it.
bool Covers(const std::string& outer, const std::string& inner) {
  return absl::StartsWith(inner, outer) &&
         (inner.size() == outer.size() || outer.empty() || inner[outer.size()] == '.' ||
          inner[outer.size()] == '[');
}

void ResolveWeights(const std::string& folder, SweepFile* file) {
  if (!file->spec.train().has_weights()) return;
  const Location at = file->Find("train.weights");
  // What a shell's line names lies where the shell is; absolute paths win over either.
  const fs::path base = at.option.empty() ? fs::path(folder) : fs::current_path();
  const fs::path path = base / file->spec.train().weights();
  std::error_code error;
  if (fs::is_regular_file(path, error)) {
    file->weights_path = path.string();
    return;
  }
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(path.parent_path(), error)) {
    names.push_back(entry.path().filename().string());
  }
  file->diagnostics.push_back(
      {at, "train.weights",
       absl::StrCat("no such file: ", path.string(), DidYouMean(path.filename().string(), names))});
}

}  // namespace

Location SweepFile::Find(const std::string& field) const {
  for (std::string path = field; !path.empty();) {
    const auto it = locations.find(path);
    if (it != locations.end()) return it->second;
    const size_t end = path.find_last_of(".[");
    path.resize(end == std::string::npos ? 0 : end);
  }
  return kTop;
}

bool SweepFile::IsSound(const std::string& field) const {
  return std::none_of(diagnostics.begin(), diagnostics.end(), [&](const Diagnostic& diagnostic) {
    return Covers(diagnostic.field, field) || Covers(field, diagnostic.field);
  });
}

void SweepFile::AddViolations(const mead::v1::ValidationReport& report) {
  for (const mead::v1::Violation& violation : report.violations()) {
    diagnostics.push_back({Find(violation.field()), violation.field(), violation.message()});
  }
}

std::string SweepFile::DiagnosticsText() const {
  std::vector<Diagnostic> sorted = diagnostics;
  std::stable_sort(sorted.begin(), sorted.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.at.option, a.at.line, a.at.column) <
           std::tie(b.at.option, b.at.line, b.at.column);
  });
  std::string text;
  for (const Diagnostic& diagnostic : sorted) {
    absl::StrAppend(&text, diagnostic.at.ToString(name), ": ", diagnostic.field,
                    diagnostic.field.empty() ? "" : ": ", diagnostic.message, "\n");
  }
  return text;
}

SweepFile ParseSweep(const std::string& name, const std::string& text, const std::string& folder,
                     const std::vector<std::string>& sets) {
  SweepFile file;
  file.name = name;
  std::optional<YamlNode> root = ParseYaml(text, &file.diagnostics);
  if (!root) return file;
  for (const std::string& set : sets) ApplySet(set, &*root, &file.diagnostics);
  ProtoReader reader(&file.locations, &file.diagnostics);
  if (root->kind != YamlNode::Kind::kMapping) {
    reader.Complain(kTop, "",
                    absl::StrCat("wants a sweep (keys apiVersion, kind, name, dataset, ...), got ",
                                 root->Describe()));
    return file;
  }
  reader.Hide("mead.v1.TrainConfig.weights_artifact");
  reader.Hide("mead.v1.TrainConfig.fold");
  reader.Hide("mead.v1.SweepSpec.fold_pictures");
  CheckHeader(*root, "apiVersion", kApiVersion, &reader);
  CheckHeader(*root, "kind", kKind, &reader);
  CheckRequired(*root, "name", "give the sweep a name", &reader);
  CheckRequired(*root, "dataset", "name a data set (mead dataset list shows them)", &reader);
  reader.ReadMapping(*root, "", &file.spec, {"apiVersion", "kind", "space"});
  if (const YamlNode* space = root->Find("space")) ReadSpace(*space, &reader, &file.spec);
  ResolveWeights(folder, &file);
  return file;
}

absl::StatusOr<SweepFile> LoadSweepFile(const std::string& path,
                                        const std::vector<std::string>& sets) {
  if (path == "-") {
    const std::string text{std::istreambuf_iterator<char>(std::cin), {}};
    return ParseSweep("standard input", text, ".", sets);
  }
  std::error_code error;
  fs::path folder = fs::path(path).parent_path();
  if (folder.empty()) folder = ".";
  if (!fs::exists(path, error)) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      names.push_back(entry.path().filename().string());
    }
    return absl::NotFoundError(absl::StrCat("no such file: ", path,
                                            DidYouMean(fs::path(path).filename().string(), names)));
  }
  if (fs::is_directory(path, error) ||
      (fs::is_regular_file(path, error) && fs::file_size(path, error) > kMaxFileBytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " is not a sweep file: wanted a YAML text of at most 1 MiB"));
  }
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok()) return text.status();
  return ParseSweep(path, *text, folder.string(), sets);
}

}  // namespace mead::client
