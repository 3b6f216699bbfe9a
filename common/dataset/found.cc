#include "common/dataset/found.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "common/dataset/names.h"
#include "common/status_util.h"

namespace mead::dataset {

std::optional<Split> SplitOfWord(const std::string& word) {
  static const std::set<std::string> kTrain = {"train", "training"};
  static const std::set<std::string> kVal = {"test", "testing", "val", "valid", "validation"};
  const std::string folded = FoldName(word);
  if (kTrain.contains(folded)) return Split::kTrain;
  if (kVal.contains(folded)) return Split::kVal;
  return std::nullopt;
}

std::string HintOf(const std::vector<QuarantinedFile>& quarantined) {
  if (quarantined.empty()) return "";
  const QuarantinedFile& first = quarantined.front();
  return absl::StrCat(" (not used: '", first.path, "': ", first.reason,
                      quarantined.size() > 1 ? ", and others)" : ")");
}

absl::Status AssignClasses(const std::vector<std::string>& class_of_file,
                           std::vector<std::string> order, std::string_view expected,
                           Found& found) {
  std::set<std::string> names;
  std::set<std::string> trained;
  for (size_t i = 0; i < found.files.size(); ++i) {
    names.insert(class_of_file[i]);
    if (found.files[i].split != Split::kVal) trained.insert(class_of_file[i]);
  }
  if (order.empty()) order.assign(names.begin(), names.end());
  if (names.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "no classes in '", found.root, "'", HintOf(found.quarantined), ": ", ToAbsl(expected)));
  }
  if (order.size() == 1) {
    return absl::InvalidArgumentError(absl::StrCat("only one class, '", order[0], "', in '",
                                                   found.root, "': ", ToAbsl(expected)));
  }
  std::map<std::string, uint32_t> ids;
  for (const std::string& name : order) {
    ids.emplace(name, static_cast<uint32_t>(ids.size()));
    if (trained.contains(name)) continue;
    return absl::InvalidArgumentError(
        names.contains(name)
            ? absl::StrCat("the class '", name, "' is only among the evaluation pictures: add ",
                           "pictures of it to train on, or remove it")
            : absl::StrCat("the class '", name, "' has no pictures in '", found.root, "'",
                           HintOf(found.quarantined), ": add some, or remove it"));
  }
  for (size_t i = 0; i < found.files.size(); ++i) {
    found.files[i].class_id = ids.at(class_of_file[i]);
  }
  found.classes = std::move(order);
  std::sort(found.files.begin(), found.files.end(),
            [](const FoundFile& a, const FoundFile& b) { return a.key < b.key; });
  return absl::OkStatus();
}

}  // namespace mead::dataset
