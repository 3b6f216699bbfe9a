// An archive that is unpacked: nothing comes out beside the folder, and no more than was allowed.
#include "common/dataset/archive.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <string_view>

namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMostBytes = 1 << 20;

// A folder in memory if there is one, with a file beside the one that is unpacked into.
struct Room {
  Room() {
    std::string pattern =
        fs::exists("/dev/shm") ? "/dev/shm/mead-fuzz-XXXXXX" : "/tmp/mead-fuzz-XXXXXX";
    if (mkdtemp(pattern.data()) == nullptr) std::abort();
    path = pattern;
  }
  ~Room() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
  fs::path path;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  static const Room room;
  const int fd = memfd_create("archive", 0);
  if (fd < 0 || write(fd, data, bytes) != static_cast<ssize_t>(bytes)) std::abort();
  const fs::path folder = room.path / "in";
  (void)mead::dataset::Unpack("/proc/self/fd/" + std::to_string(fd), folder.string(), nullptr,
                              kMostBytes);
  close(fd);
  uint64_t written = 0;
  for (const auto& entry : fs::recursive_directory_iterator(room.path)) {
    if (entry.is_symlink() || !(entry.is_directory() || entry.is_regular_file())) std::abort();
    if (entry.is_regular_file()) written += entry.file_size();
    if (entry.path().parent_path() == room.path && entry.path() != folder) std::abort();
  }
  if (written > kMostBytes) std::abort();
  std::error_code ignored;
  fs::remove_all(folder, ignored);
  return 0;
}
