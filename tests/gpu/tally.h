// What a check on a GPU counts.
#pragma once

#include <cstdio>
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

}  // namespace mead::train
