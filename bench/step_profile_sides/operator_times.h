// Self times of the operators that run between Start and Stop, by name, on all threads.
//
// LibTorch calls back at the start and the end of each operator and each node of the backward pass;
// what one calls is taken off its own time. Work that a thread waits for elsewhere (a GPU, another
// process) appears as the waiting.
//
// Thread: one at a time; Start and Stop while no operator runs.
#pragma once

#include <cstdint>
#include <map>
#include <string>

namespace mead::bench {

struct OperatorTotals {
  int64_t calls = 0;
  double self_us = 0;
};

class OperatorTimes {
 public:
  static void Start();
  // Returns what was gathered, and forgets it.
  static std::map<std::string, OperatorTotals> Stop();
};

}  // namespace mead::bench
