// Groups that a file's path names, such as the patient or the video: what a regular expression
// captures.
//
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace mead::dataset {

// A number per key: equal where the first capture group of `pattern` (ECMAScript; searched for, not
// anchored) is equal; 0 where it does not match.
// Errors: INVALID_ARGUMENT for a pattern that is none, that captures nothing, or matches no key.
[[nodiscard]] absl::StatusOr<std::vector<uint32_t>> GroupByPattern(
    std::span<const std::string> keys, const std::string& pattern);

}  // namespace mead::dataset
