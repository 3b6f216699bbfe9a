#include "common/gpus.h"

#include <filesystem>
#include <system_error>

namespace mead {

int CountGpus() {
  std::error_code none;
  int count = 0;
  for ([[maybe_unused]] const auto& gpu : std::filesystem::directory_iterator(kGpuFolder, none)) {
    ++count;
  }
  return count;
}

}  // namespace mead
