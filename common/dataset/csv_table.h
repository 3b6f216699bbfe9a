// Reads comma-separated values: RFC 4180, also with semicolons or tabs between the fields.
//
// Fields in quotes may hold separators, quotes ("") and line ends; a byte order mark is passed
// over, and so are blank lines. Which separator, the first line says. Thread: a pure function.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mead::dataset {

using CsvRow = std::vector<std::string>;

// name: of the file, for messages.
// Errors: INVALID_ARGUMENT (UTF-16, a quote that does not end, a quote within a plain field),
// naming the row, counted from 1.
[[nodiscard]] absl::StatusOr<std::vector<CsvRow>> ParseCsv(std::string_view text,
                                                           const std::string& name);

}  // namespace mead::dataset
