// One line per event on standard error: "2026-01-31T12:00:00.123Z I mead-worker: text".
//
// Thread: lines of several threads and processes never mix (one write each).
#pragma once

#include <string_view>

namespace mead {

enum class LogLevel { kInfo, kWarning, kError };

// Named in every line; call it once, first thing in main().
void SetLogProcessName(std::string_view name);

// Line breaks in `message` become spaces, so that a line stays a line.
void Log(LogLevel level, std::string_view message);

}  // namespace mead
