// Cuts what a child process prints into lines that are fit to be sent on.
//
// A line longer than kMaxLineBytes is cut there, and the rest of it dropped and
// counted in the mark at its end: a process that prints a gigabyte without a
// newline must not fill the agent's memory. Bytes that are not UTF-8 become
// U+FFFD, because protobuf strings must be UTF-8 and a message that holds
// anything else cannot be parsed. Control characters other than tab go: they
// would reach users' terminals.
//
// Bound:  kMaxLineBytes of an unfinished line.
// Thread: not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace mead::agent {

class LineSplitter {
 public:
  static constexpr size_t kMaxLineBytes = 4096;
  using OnLine = std::function<void(std::string line)>;

  // Calls on_line for every line that the bytes complete, without its newline.
  void Feed(std::string_view bytes, const OnLine& on_line);
  // The end of the stream: an unfinished line is a line.
  void Finish(const OnLine& on_line);

 private:
  void Emit(const OnLine& on_line);

  std::string partial_;
  size_t cut_bytes_ = 0;
};

// The text with every malformed UTF-8 sequence replaced and control characters removed.
std::string SanitizeLine(std::string_view bytes);

}  // namespace mead::agent
