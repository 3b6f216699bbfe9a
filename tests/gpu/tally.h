// What a check on a GPU counts, and how its program ends.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdio>
#include <exception>
#include <string>

namespace mead::train {

struct Tally {
  int passed = 0;
  int failed = 0;

  void Add(const std::string& what, bool good) {
    (good ? passed : failed) += 1;
    if (!good) std::printf("FAILED %s\n", what.c_str());
  }
};

// ctest's word for a test that was skipped.
inline constexpr int kSkipped = 77;

inline bool HasGpu() {
  int gpus = 0;
  if (cudaGetDeviceCount(&gpus) == cudaSuccess && gpus > 0) return true;
  std::fprintf(stderr, "SKIPPED, there is no GPU here\n");
  return false;
}

// Does the checks, which count in the tally, and prints it. Returns what main() returns: 1
// where something failed, kSkipped where there is no GPU.
template <typename Counts, typename Checks>
int RunOnGpu(Counts& tally, Checks&& checks) {
  if (!HasGpu()) return kSkipped;
  try {
    checks();
  } catch (const std::exception& error) {
    std::printf("FAILED, and ended early: %s\n", error.what());
    ++tally.failed;
  }
  std::printf("%d passed, %d failed\n", tally.passed, tally.failed);
  return tally.failed == 0 ? 0 : 1;
}

}  // namespace mead::train
