#include "bench/side.h"

#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>

namespace mead::bench {

void Say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

void AnswerOrders(const Orders& orders) {
  Say("ready");
  for (std::string order; std::cin >> order;) {
    if (const auto other = orders.others.find(order); other != orders.others.end()) {
      Say(other->second(std::cin));
      continue;
    }
    const int steps = std::stoi(order);
    const auto start = std::chrono::steady_clock::now();
    orders.run(steps);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    std::printf("%.9f\n", seconds.count());
    std::fflush(stdout);
  }
}

int RunSide(const char* program, const std::function<void()>& side) {
  try {
    side();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s: %s\n", program, error.what());
    return 1;
  }
  return 0;
}

}  // namespace mead::bench
