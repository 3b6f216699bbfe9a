// "Did you mean": names close to one that does not exist.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mead {

// At most three of `candidates`, nearest first: those within a third of the
// name's length (at least 2) in insertions, deletions, changes and swaps of
// neighbours, case aside; and those that begin with the name.
std::vector<std::string> NearNames(std::string_view name, std::span<const std::string> candidates);

// "; did you mean a, b or c?", or nothing when no name is near.
std::string DidYouMean(std::string_view name, std::span<const std::string> candidates);

}  // namespace mead
