#include "client/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace mead::client {

Terminal Terminal::Real() {
  Terminal terminal{.out = std::cout, .err = std::cerr, .env = {}};
  terminal.out_is_tty = isatty(STDOUT_FILENO) == 1;
  terminal.err_is_tty = isatty(STDERR_FILENO) == 1;
  terminal.env = [](const std::string& name) -> std::optional<std::string> {
    const char* value = std::getenv(name.c_str());
    if (value == nullptr) return std::nullopt;
    return value;
  };
  terminal.colours =
      terminal.out_is_tty && terminal.Env("NO_COLOR").empty() && terminal.Env("TERM") != "dumb";
  return terminal;
}

std::string Terminal::Paint(Colour colour, const std::string& text) const {
  if (!colours || colour == Colour::kNone) return text;
  const char* code = "";
  switch (colour) {
    case Colour::kNone:
      break;
    case Colour::kBold:
      code = "1";
      break;
    case Colour::kDim:
      code = "2";
      break;
    case Colour::kRed:
      code = "31";
      break;
    case Colour::kGreen:
      code = "32";
      break;
    case Colour::kYellow:
      code = "33";
      break;
    case Colour::kCyan:
      code = "36";
      break;
  }
  return absl::StrCat("\033[", code, "m", text, "\033[0m");
}

int Terminal::Width() const {
  winsize size{};
  if (out_is_tty && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
    return size.ws_col;
  }
  return 80;
}

std::string Terminal::Env(const std::string& name, const std::string& otherwise) const {
  const std::optional<std::string> value = env(name);
  return value && !value->empty() ? *value : otherwise;
}

}  // namespace mead::client
