#include "common/dataset/group_by.h"

#include <map>
#include <regex>

#include "absl/strings/str_cat.h"

namespace mead::dataset {

absl::StatusOr<std::vector<uint32_t>> GroupByPattern(std::span<const std::string> keys,
                                                     const std::string& pattern) {
  const auto bad = [&](const std::string& what) {
    return absl::InvalidArgumentError(
        absl::StrCat("the pattern '", pattern, "' ", what,
                     ": expected a regular expression whose first (...) captures what pictures of "
                     "one group share, such as 'patient-([0-9]+)'"));
  };
  std::vector<uint32_t> groups(keys.size());
  std::map<std::string, uint32_t> numbers;
  try {
    const std::regex regex(pattern);
    if (regex.mark_count() == 0) return bad("captures nothing");
    for (size_t i = 0; i < keys.size(); ++i) {
      std::smatch match;
      if (!std::regex_search(keys[i], match, regex) || !match[1].matched) continue;
      const auto next = static_cast<uint32_t>(numbers.size() + 1);
      groups[i] = numbers.emplace(match[1].str(), next).first->second;
    }
  } catch (const std::regex_error& error) {
    return bad(absl::StrCat("cannot be used (", error.what(), ")"));
  }
  if (numbers.empty()) {
    return bad(keys.empty() ? "has no path to match"
                            : absl::StrCat("matches no path, not even '", keys[0], "'"));
  }
  return groups;
}

}  // namespace mead::dataset
