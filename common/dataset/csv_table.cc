#include "common/dataset/csv_table.h"

#include <csv.h>

#include <algorithm>

#include "absl/strings/str_cat.h"

namespace mead::dataset {
namespace {

constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";

char SeparatorOf(std::string_view text) {
  const std::string_view line = text.substr(0, text.find_first_of("\r\n"));
  char most = ',';
  for (const char candidate : {';', '\t'}) {
    if (std::count(line.begin(), line.end(), candidate) >
        std::count(line.begin(), line.end(), most)) {
      most = candidate;
    }
  }
  return most;
}

struct Rows {
  std::vector<CsvRow> done;
  CsvRow open;
};

void EndField(void* field, size_t size, void* rows) {
  static_cast<Rows*>(rows)->open.emplace_back(static_cast<const char*>(field), size);
}

void EndRow(int /*character*/, void* data) {
  auto* rows = static_cast<Rows*>(data);
  rows->done.push_back(std::move(rows->open));
  rows->open.clear();
}

struct Parser {
  Parser() { csv_init(&state, CSV_STRICT | CSV_STRICT_FINI); }
  ~Parser() { csv_free(&state); }
  Parser(const Parser&) = delete;
  Parser& operator=(const Parser&) = delete;

  csv_parser state;
};

}  // namespace

absl::StatusOr<std::vector<CsvRow>> ParseCsv(std::string_view text, const std::string& name) {
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  if (text.starts_with("\xFF\xFE") || text.starts_with("\xFE\xFF")) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, " is UTF-16: save it as CSV in UTF-8, and add it again"));
  }
  Parser parser;
  csv_set_delim(&parser.state, static_cast<unsigned char>(SeparatorOf(text)));
  Rows rows;
  const bool whole =
      csv_parse(&parser.state, text.data(), text.size(), EndField, EndRow, &rows) == text.size() &&
      csv_fini(&parser.state, EndField, EndRow, &rows) == 0;
  if (!whole) {
    const int error = csv_error(&parser.state);
    return absl::InvalidArgumentError(
        absl::StrCat(name, ", row ", rows.done.size() + 1, ": ",
                     error == CSV_EPARSE ? "a quote in the wrong place, or one that does not end"
                                         : csv_strerror(error),
                     ": fields with quotes are written \"like \"\"this\"\"\""));
  }
  return std::move(rows.done);
}

}  // namespace mead::dataset
