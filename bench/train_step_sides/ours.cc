// One rank of our training step, driven by bench/train_step (the protocol: bench/harness.py).
//
// train_step_ours MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE INPUT
// INPUT: host or resident, see synthetic_rank.h.
#include <istream>
#include <stdexcept>
#include <string>

#include "bench/side.h"
#include "bench/train_step_sides/synthetic_rank.h"

namespace mead::bench {
namespace {

void Run(char** argv) {
  RankOptions options = RankOptionsFrom(argv + 1);
  const std::string input = argv[10];
  if (input != "host" && input != "resident") {
    throw std::invalid_argument("the input is host or resident, not '" + input + "'");
  }
  options.resident = input == "resident";
  SyntheticRank rank(options);
  rank.WarmUp();
  rank.ResetPeakMemory();
  AnswerOrders({.run = [&](int steps) { rank.Train(steps); },
                .others = {{"memory", [&](std::istream&) {
                              return std::to_string(rank.PeakMemoryBytes());
                            }}}});
}

}  // namespace
}  // namespace mead::bench

int main(int argc, char** argv) {
  if (argc != 11) return 2;
  return mead::bench::RunSide("train_step_ours", [&] { mead::bench::Run(argv); });
}
