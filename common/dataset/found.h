// What was found where a user points at: pictures' files, each with its class and perhaps its
// split.
//
// Thread: a value; the functions are pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

struct FoundFile {
  std::string key;  // relative to Found::root
  uint32_t class_id = 0;
  std::optional<Split> split;  // set when the input gives it
};

struct Found {
  std::string root;                  // the folder that keys begin in
  std::vector<std::string> classes;  // label order
  bool split_given = false;
  std::vector<FoundFile> files;  // sorted by key
  std::vector<QuarantinedFile> quarantined;
};

// What train, test and their other names mean (training, testing, val, valid, validation).
std::optional<Split> SplitOfWord(const std::string& word);

// " (not used: 'PATH': REASON, and others)", or nothing: what an input that looks empty has
// instead.
std::string HintOf(const std::vector<QuarantinedFile>& quarantined);

// Gives the files their class ids and sorts them. class_of_file: one name per file. order: the
// classes in label order; empty: sorted by name. expected: what the input should have been, for
// messages.
// Errors: INVALID_ARGUMENT for fewer than two classes, a class of `order` without a picture, and
// one that is only evaluated.
[[nodiscard]] absl::Status AssignClasses(const std::vector<std::string>& class_of_file,
                                         std::vector<std::string> order, std::string_view expected,
                                         Found& found);

}  // namespace mead::dataset
