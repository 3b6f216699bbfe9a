#include "worker/trainer/sample_trace.h"

#include <fcntl.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/train/errors.h"

namespace mead::trainer {

SampleTrace::SampleTrace(const std::string& name) {
  const char* folder = std::getenv("MEAD_SAMPLE_TRACE");
  if (folder == nullptr || *folder == '\0') return;
  path_ = absl::StrCat(folder, "/", name);
  file_ = ScopedFd(open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
  if (!file_.valid()) {
    throw train::TrainError(
        train::ErrorKind::kInternal,
        absl::StrCat("MEAD_SAMPLE_TRACE: ", path_, " cannot be opened: ", std::strerror(errno)));
  }
}

void SampleTrace::From(int epoch, int64_t step) {
  if (file_.valid()) Write(absl::StrCat("from ", epoch, " ", step, "\n"));
}

void SampleTrace::Fed(int epoch, uint64_t step, std::span<const uint64_t> samples) {
  if (!file_.valid()) return;
  const char* space = samples.empty() ? "" : " ";
  Write(absl::StrCat(epoch, " ", step, space, absl::StrJoin(samples, " "), "\n"));
}

void SampleTrace::Write(const std::string& line) {
  if (const absl::Status status = WriteFully(file_.get(), line, path_); !status.ok()) {
    throw train::TrainError(train::ErrorKind::kInternal,
                            absl::StrCat("MEAD_SAMPLE_TRACE: ", status.message()));
  }
}

}  // namespace mead::trainer
