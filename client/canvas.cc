#include "client/canvas.h"

namespace mead::client {

Canvas::Canvas(int width, int height, Rgb background) {
  image_.width = width;
  image_.height = height;
  image_.pixels.resize(size_t{3} * static_cast<size_t>(width) * static_cast<size_t>(height));
  Fill(0, 0, width, height, background);
}

void Canvas::Fill(int x, int y, int width, int height, Rgb colour) {
  FillBox(x, y, width, height, colour, image_);
}

void Canvas::Text(int x, int y, int scale, std::string_view text, Rgb colour) {
  DrawText(text, x, y, image_.width - x, scale, colour, image_);
}

}  // namespace mead::client
