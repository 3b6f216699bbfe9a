// Turns of phrase that error messages share.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/near_names.h"

namespace mead::service {

// "; did you mean a or b?", "; known: a, b, c" when nothing is near, "" when there is nothing.
inline std::string NearOrKnown(std::string_view name, const std::vector<std::string>& candidates) {
  if (std::string near = DidYouMean(name, candidates); !near.empty()) return near;
  if (candidates.empty()) return "";
  constexpr size_t kShown = 20;
  const size_t shown = std::min(candidates.size(), kShown);
  return absl::StrCat("; known: ",
                      absl::StrJoin(candidates.begin(),
                                    candidates.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                      candidates.size() > shown ? ", ..." : "");
}

// "a", "a or b", "a, b or c".
inline std::string OneOf(const std::vector<std::string>& words) {
  if (words.size() < 2) return absl::StrJoin(words, "");
  return absl::StrCat(absl::StrJoin(words.begin(), words.end() - 1, ", "), " or ", words.back());
}

}  // namespace mead::service
