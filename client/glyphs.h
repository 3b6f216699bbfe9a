// Letters of 5 x 7 pixels, as on dot-matrix displays, for captions in pictures.
//
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/dataset/image.h"

namespace mead::client {

inline constexpr int kGlyphWidth = 6;   // with the space behind it
inline constexpr int kGlyphHeight = 8;  // with room below the line for g, p and q

// Writes ASCII (anything else as '?') with its upper left corner at (x, y). What does not fit
// into `width` pixels, or into the picture, is cut off.
void DrawText(std::string_view text, int x, int y, int width, uint8_t grey, dataset::Image& image);

}  // namespace mead::client
