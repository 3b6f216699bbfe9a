#include "worker/train/state/file_format.h"

#include <algorithm>

#include "worker/train/errors.h"

namespace mead::train {

void FailFormat(const std::string& path, const FileFormat& format, const std::string& what,
                int64_t at) {
  constexpr size_t kMaxBytes = 600;  // names in it may have any length
  throw TrainError(ErrorKind::kUserError, path + ": not a valid " + format.name + ": " +
                                              Printable(what).substr(0, kMaxBytes) + " (at byte " +
                                              std::to_string(at) + ")" + format.remedy);
}

std::string Printable(std::string_view text) {
  std::string printable(text);
  std::replace_if(
      printable.begin(), printable.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return printable;
}

}  // namespace mead::train
