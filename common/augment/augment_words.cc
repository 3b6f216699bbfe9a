#include "common/augment/augment_words.h"

namespace mead {

std::optional<Flip> FlipFromName(std::string_view name) {
  if (name == "none") return Flip::kNone;
  if (name == "horizontal") return Flip::kHorizontal;
  if (name == "vertical") return Flip::kVertical;
  if (name == "both") return Flip::kBoth;
  return std::nullopt;
}

std::optional<PositionBox> PositionBoxFromName(std::string_view name) {
  if (name == "keep") return PositionBox::kKeep;
  if (name == "mask") return PositionBox::kMask;
  if (name == "crop") return PositionBox::kCrop;
  return std::nullopt;
}

}  // namespace mead
