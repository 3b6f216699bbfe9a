// Names as people write them: when two folder names mean one class.
//
// Thread: pure functions.
#pragma once

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

}  // namespace mead::dataset
