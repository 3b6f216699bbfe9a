// A small raster image to draw on: rectangles and plain text, out as a PNG.
//
// Units:  pixels; (0, 0) is the upper left corner. What lies outside is not drawn.
// Thread: one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace mead::client {

using Rgb = std::array<uint8_t, 3>;

class Canvas {
 public:
  Canvas(int width, int height, Rgb background);

  void Fill(int x, int y, int width, int height, Rgb colour);
  // The text's upper left corner is at (x, y). Letters of 5 x 8 dots, each `scale` pixels wide,
  // in ASCII; another character (of UTF-8) is drawn as '?'.
  void Text(int x, int y, int scale, std::string_view text, Rgb colour);

  static int TextWidth(std::string_view text, int scale);
  static int TextHeight(int scale) { return 8 * scale; }

  int width() const { return width_; }
  int height() const { return height_; }

  // Errors: INTERNAL (libpng's words).
  [[nodiscard]] absl::StatusOr<std::string> ToPng() const;

 private:
  const int width_;
  const int height_;
  std::vector<uint8_t> pixels_;  // [height, width, 3] RGB
};

}  // namespace mead::client
