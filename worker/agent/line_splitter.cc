#include "worker/agent/line_splitter.h"

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"

namespace mead::agent {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";

// Length of the well-formed sequence that starts the text, or 0.
// Source: The Unicode Standard, table 3-7 (well-formed UTF-8 byte sequences).
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  size_t length = 0;
  uint8_t low = 0x80;
  uint8_t high = 0xBF;
  if (lead >= 0xC2 && lead <= 0xDF) {
    length = 2;
  } else if (lead >= 0xE0 && lead <= 0xEF) {
    length = 3;
    if (lead == 0xE0) low = 0xA0;
    if (lead == 0xED) high = 0x9F;
  } else if (lead >= 0xF0 && lead <= 0xF4) {
    length = 4;
    if (lead == 0xF0) low = 0x90;
    if (lead == 0xF4) high = 0x8F;
  } else {
    return 0;
  }
  if (text.size() < length || byte(1) < low || byte(1) > high) return 0;
  for (size_t i = 2; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  return length;
}

}  // namespace

std::string SanitizeLine(std::string_view bytes) {
  std::string out;
  out.reserve(bytes.size());
  while (!bytes.empty()) {
    const size_t length = SequenceLength(bytes);
    if (length == 0) {
      out += kReplacement;
      bytes.remove_prefix(1);
      continue;
    }
    const auto first = static_cast<uint8_t>(bytes[0]);
    if (length > 1 || first == '\t' || (first >= 0x20 && first != 0x7F)) {
      out += bytes.substr(0, length);
    }
    bytes.remove_prefix(length);
  }
  return out;
}

void LineSplitter::Feed(std::string_view bytes, const OnLine& on_line) {
  while (!bytes.empty()) {
    const size_t newline = bytes.find('\n');
    const std::string_view piece = bytes.substr(0, newline);
    const size_t room = kMaxLineBytes - partial_.size();
    partial_ += piece.substr(0, room);
    cut_bytes_ += piece.size() - std::min(piece.size(), room);
    if (newline == std::string_view::npos) return;
    Emit(on_line);
    bytes.remove_prefix(newline + 1);
  }
}

void LineSplitter::Finish(const OnLine& on_line) {
  if (!partial_.empty()) Emit(on_line);
}

void LineSplitter::Emit(const OnLine& on_line) {
  std::string line = SanitizeLine(partial_);
  if (cut_bytes_ > 0) absl::StrAppend(&line, " [", cut_bytes_, " more bytes]");
  partial_.clear();
  cut_bytes_ = 0;
  on_line(std::move(line));
}

}  // namespace mead::agent
