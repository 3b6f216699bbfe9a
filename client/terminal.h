// Where a command writes: streams, whether people watch them, and the environment.
//
// Thread: the main thread only.
#pragma once

#include <functional>
#include <iostream>
#include <optional>
#include <string>

namespace mead::client {

enum class Colour { kNone, kBold, kDim, kRed, kGreen, kYellow, kCyan };

struct Terminal {
  std::ostream& out;
  std::ostream& err;
  bool out_is_tty = false;
  bool err_is_tty = false;
  // Colours only on a terminal, and not with NO_COLOR (no-color.org) or TERM=dumb.
  bool colours = false;
  std::function<std::optional<std::string>(const std::string&)> env;

  // The process's own.
  static Terminal Real();

  // The text in a colour, or as it is.
  std::string Paint(Colour colour, const std::string& text) const;
  // Columns now; 80 when it is no terminal.
  int Width() const;
  // A variable's value; an empty one counts as absent.
  std::string Env(const std::string& name, const std::string& otherwise = "") const;
};

}  // namespace mead::client
