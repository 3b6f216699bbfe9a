// The sweep file's words for augmentation.
//
// Thread: pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "common/augment/augment_plan.h"

namespace mead {

// none | horizontal | vertical | both
std::optional<Flip> FlipFromName(std::string_view name);
// keep | mask | crop
std::optional<PositionBox> PositionBoxFromName(std::string_view name);

}  // namespace mead
