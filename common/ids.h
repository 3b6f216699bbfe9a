// Random names that people read aloud and type.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace mead {

// `prefix` followed by `length` characters of Crockford's base 32 in lower case
// (no i, l, o, u), from the kernel's random numbers: 5 bits a character, so 10
// of them make a clash among a million names a matter of one in two thousand.
std::string RandomId(std::string_view prefix, size_t length);

}  // namespace mead
