// One rank of our training step, driven by bench/train_step (the protocol: bench/harness.py).
//
// train_step_ours MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE
#include <chrono>
#include <cstdio>
#include <exception>
#include <iostream>
#include <string>

#include "bench/train_step_sides/synthetic_rank.h"

namespace mead::bench {
namespace {

// The same on both sides; CUDA graphs and clocks need more of them to settle.
constexpr int kWarmUpSteps = 3;
constexpr int kWarmUpStepsOnGpu = 10;

void Run(char** argv) {
  const RankOptions options = RankOptionsFrom(argv + 1);
  SyntheticRank rank(options);
  rank.Train(options.device == "cpu" ? kWarmUpSteps : kWarmUpStepsOnGpu);
  rank.Settle();
  rank.ResetPeakMemory();
  std::puts("ready");
  std::fflush(stdout);
  for (std::string order; std::cin >> order;) {
    if (order == "memory") {
      std::printf("%lld\n", static_cast<long long>(rank.PeakMemoryBytes()));
    } else {
      const auto start = std::chrono::steady_clock::now();
      rank.Train(std::stoi(order));
      rank.Settle();
      const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
      std::printf("%.9f\n", seconds.count());
    }
    std::fflush(stdout);
  }
}

}  // namespace
}  // namespace mead::bench

int main(int argc, char** argv) {
  if (argc != 10) return 2;
  try {
    mead::bench::Run(argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "train_step_ours: %s\n", error.what());
    return 1;
  }
  return 0;
}
