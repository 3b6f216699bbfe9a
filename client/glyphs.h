// Boxes, and letters of 5 x 8 dots as on dot-matrix displays, drawn into pictures.
//
// Units:  pixels; (0, 0) is the upper left corner. What lies outside of a picture is not drawn.
// Thread: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "common/dataset/image.h"

namespace mead::client {

using Rgb = std::array<uint8_t, 3>;

inline constexpr int kGlyphWidth = 6;   // with the space behind it
inline constexpr int kGlyphHeight = 8;  // with room below the line for g, p and q

void FillBox(int x, int y, int width, int height, Rgb colour, dataset::Image& image);

// The text's upper left corner is at (x, y), each dot `scale` pixels wide. ASCII; another character
// (of UTF-8) is drawn as '?'. Letters that do not fit into `width` pixels are left out.
void DrawText(std::string_view text, int x, int y, int width, int scale, Rgb colour,
              dataset::Image& image);

// Without the space behind the last letter.
int TextWidth(std::string_view text, int scale);

}  // namespace mead::client
