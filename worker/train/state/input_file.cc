#include "worker/train/state/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "worker/train/errors.h"

namespace mead::train {

InputFile::InputFile(std::string path, int descriptor)
    : path_(std::move(path)), descriptor_(descriptor) {}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      bytes_(other.bytes_) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) close(descriptor_);
}

InputFile InputFile::Open(const std::string& path) {
  InputFile file(path, open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor_ < 0) {
    throw TrainError(ErrorKind::kUserError, path + ": cannot be opened: " + std::strerror(errno));
  }
  struct stat status {};
  if (fstat(file.descriptor_, &status) != 0 || !S_ISREG(status.st_mode)) {
    throw TrainError(ErrorKind::kUserError, path + ": not a regular file");
  }
  file.bytes_ = status.st_size;
  return file;
}

void InputFile::Read(int64_t offset, void* destination, size_t count) const {
  auto* at = static_cast<char*>(destination);
  while (count > 0) {
    const ssize_t got = pread(descriptor_, at, count, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) {
      throw TrainError(ErrorKind::kUserError,
                       path_ + ": cannot be read at byte " + std::to_string(offset) + ": " +
                           (got == 0 ? "the file ends there" : std::strerror(errno)));
    }
    at += got;
    offset += got;
    count -= static_cast<size_t>(got);
  }
}

}  // namespace mead::train
