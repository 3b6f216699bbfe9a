#include "common/machine.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/gpus.h"

namespace mead {
namespace {

// The text after "key ... :" in the first such line of a file; empty without one.
std::string ValueOf(const std::string& file, const std::string& key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    const size_t colon = line.find(':');
    if (line.rfind(key, 0) != 0 || colon == std::string::npos) continue;
    const size_t start = line.find_first_not_of(" \t", colon + 1);
    return start == std::string::npos ? "" : line.substr(start);
  }
  return "";
}

}  // namespace

int UsableCores() {
  cpu_set_t set;
  int cores = sched_getaffinity(0, sizeof set, &set) == 0
                  ? CPU_COUNT(&set)
                  : static_cast<int>(std::thread::hardware_concurrency());
  // "max 100000" or "150000 100000": microseconds of CPU per period.
  std::ifstream quota("/sys/fs/cgroup/cpu.max");
  double allowed = 0;
  double period = 0;
  if (quota >> allowed >> period && period > 0) {
    cores = std::min(cores, static_cast<int>(std::ceil(allowed / period)));
  }
  return std::max(1, cores);
}

std::string DeviceName(bool gpu) {
  std::string name;
  if (gpu) {
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(kGpuFolder, none)) {
      name = ValueOf(entry.path() / "information", "Model");
      break;
    }
    return name.empty() ? "GPU" : name;
  }
  name = ValueOf("/proc/cpuinfo", "model name");
  return absl::StrCat(name.empty() ? "CPU" : name, ", ", UsableCores(), " cores");
}

}  // namespace mead
