#include "common/log.h"

#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead {
namespace {

std::string& ProcessName() {
  static std::string* const name = new std::string("mead");
  return *name;
}

}  // namespace

void SetLogProcessName(std::string_view name) { ProcessName() = name; }

void Log(LogLevel level, std::string_view message) {
  static constexpr char kLetters[] = "IWE";
  std::string line = absl::StrCat(
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), " ",
      std::string(1, kLetters[static_cast<int>(level)]), " ", ProcessName(), ": ", ToAbsl(message));
  std::replace(line.begin(), line.end(), '\n', ' ');
  line += '\n';
  // Nowhere is left to say that standard error cannot be written.
  (void)WriteFully(STDERR_FILENO, line, "standard error");
}

}  // namespace mead
