// A table of comma-separated values.
#include "common/dataset/csv_table.h"

#include <cstdint>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  const auto rows = mead::dataset::ParseCsv({reinterpret_cast<const char*>(data), bytes}, "fuzz");
  if (!rows.ok()) return 0;
  // Every field's bytes come from the file.
  size_t held = 0;
  for (const auto& row : *rows) {
    for (const std::string& field : row) held += field.size();
  }
  if (held > bytes) __builtin_trap();
  return 0;
}
