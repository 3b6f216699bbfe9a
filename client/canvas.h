// A small picture to draw on: rectangles and plain text (glyphs.h), out as a PNG.
//
// Units:  pixels; (0, 0) is the upper left corner. What lies outside is not drawn.
// Thread: one at a time.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "client/glyphs.h"
#include "common/dataset/image.h"

namespace mead::client {

class Canvas {
 public:
  Canvas(int width, int height, Rgb background);

  void Fill(int x, int y, int width, int height, Rgb colour);
  void Text(int x, int y, int scale, std::string_view text, Rgb colour);

  static int TextWidth(std::string_view text, int scale) {
    return mead::client::TextWidth(text, scale);
  }
  static int TextHeight(int scale) { return kGlyphHeight * scale; }

  int width() const { return image_.width; }
  int height() const { return image_.height; }

  // Errors: INTERNAL (libpng's words).
  [[nodiscard]] absl::StatusOr<std::string> ToPng() const { return dataset::EncodePng(image_); }

 private:
  dataset::Image image_;
};

}  // namespace mead::client
