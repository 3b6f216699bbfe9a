// Times of the GPU kernels that are launched between Start and Stop, by the operator that launched
// them and by their name. Needs CUPTI, which LibTorch brings.
//
// Thread: Start and Stop on the thread that trains, while the device is idle.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>

namespace mead::bench {

struct KernelTotals {
  int64_t calls = 0;
  double us = 0;
};

class KernelTimes {
 public:
  static void Start();
  // Keys: operator ("" for what no operator launched, such as a graph's kernels), kernel.
  static std::map<std::pair<std::string, std::string>, KernelTotals> Stop();
};

}  // namespace mead::bench
