// Names as people write them: when two folder names mean one class.
//
// Thread: pure functions; a ScopedUtf8Locale is its own thread's.
#pragma once

#include <locale.h>

#include <string>
#include <string_view>

namespace mead::dataset {

bool IsValidUtf8(std::string_view text);

// `text` with every byte that is not UTF-8 replaced by '?': fit for messages and JSON.
std::string PrintableUtf8(std::string_view text);

// Without white space (any of Unicode's, and zero-width characters) at either end.
std::string TrimName(std::string_view name);

// Equal for two names that differ only in surrounding white space, letter case, runs of white
// space inside, or in whether accented Latin letters are composed (as Linux and Windows write
// them) or decomposed (as macOS does in zip files). `name` must be UTF-8.
std::string FoldName(std::string_view name);

// Makes the calling thread's character set UTF-8 while it lives. libarchive converts names by the
// locale, and in a program's initial "C" locale it loses, or dies of, what is not ASCII.
class ScopedUtf8Locale {
 public:
  ScopedUtf8Locale();
  ~ScopedUtf8Locale();
  ScopedUtf8Locale(const ScopedUtf8Locale&) = delete;
  ScopedUtf8Locale& operator=(const ScopedUtf8Locale&) = delete;

 private:
  const locale_t before_;
};

}  // namespace mead::dataset
