#include "worker/trainer/available_memory.h"

#include <sys/stat.h>

#include <algorithm>
#include <fstream>
#include <optional>
#include <sstream>

namespace mead::trainer {
namespace {

// Two containers of one machine have the same one.
std::string BootId() {
  std::string id;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

std::optional<int64_t> MemAvailable() {
  std::ifstream meminfo("/proc/meminfo");
  for (std::string line; std::getline(meminfo, line);) {
    std::istringstream words(line);
    std::string name;
    int64_t kib = 0;
    if (words >> name >> kib && name == "MemAvailable:") return kib * 1024;
  }
  return std::nullopt;
}

// A file that holds one number; "max" is none.
std::optional<int64_t> NumberIn(const std::string& path) {
  std::ifstream file(path);
  int64_t number = 0;
  return file >> number ? std::optional(number) : std::nullopt;
}

// Files that the kernel holds for the cgroup and drops when memory is needed; they count as
// used there.
int64_t FileCacheBytes(const std::string& path) {
  std::ifstream stat(path);
  int64_t sum = 0;
  std::string name;
  for (int64_t bytes = 0; stat >> name >> bytes;) {
    if (name == "inactive_file" || name == "active_file") sum += bytes;
  }
  return sum;
}

// The inode number of a cgroup's folder is the cgroup's own, also seen from within a
// container, where every cgroup has the same path.
std::string CgroupId(const std::string& cgroup) {
  struct stat folder {};
  const bool there = stat(cgroup.c_str(), &folder) == 0;
  return there ? std::to_string(folder.st_ino) : "";
}

}  // namespace

std::vector<MemorySource> MemorySources(const std::string& cgroup) {
  std::vector<MemorySource> sources;
  const std::string machine = BootId();
  if (const auto available = MemAvailable()) {
    sources.push_back({.id = "machine/" + machine, .left_bytes = *available});
  }
  const auto limit = NumberIn(cgroup + "/memory.max");
  const auto used = NumberIn(cgroup + "/memory.current");
  if (limit && used) {
    const int64_t files = FileCacheBytes(cgroup + "/memory.stat");
    sources.push_back({.id = "cgroup/" + machine + "/" + CgroupId(cgroup),
                       .left_bytes = std::clamp<int64_t>(*limit - *used + files, 0, *limit)});
  }
  return sources;
}

std::string MemoryLine(const std::vector<MemorySource>& sources) {
  std::string line;
  for (const MemorySource& source : sources) line += source.id + " ";
  return line;
}

int64_t MemoryShareBytes(const std::vector<MemorySource>& mine,
                         const std::vector<std::string>& lines) {
  std::optional<int64_t> least;
  for (const MemorySource& source : mine) {
    const int64_t ranks = std::ranges::count_if(
        lines, [&](const std::string& line) { return line.find(source.id + " ") != line.npos; });
    const int64_t share = source.left_bytes / std::max<int64_t>(ranks, 1);
    least = std::min(least.value_or(share), share);
  }
  return least.value_or(0);
}

}  // namespace mead::trainer
