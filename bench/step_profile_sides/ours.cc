// One rank of our training step under the profiler, driven by bench/step_profile.
//
// step_profile_ours MODEL SIDE BATCH THREADS DEVICE PRECISION RANK WORLD STORE
//
// The protocol: bench/harness.py. One more order, "profile N", is answered with one line of JSON,
// totals over N steps:
//   {"seconds": S, "operators": [[NAME, CALLS, SELF_US], ...],
//    "kernels": [[OPERATOR, KERNEL, CALLS, US], ...]}
#include <chrono>
#include <istream>
#include <sstream>
#include <string>

#include "bench/side.h"
#include "bench/step_profile_sides/kernel_times.h"
#include "bench/step_profile_sides/operator_times.h"
#include "bench/train_step_sides/synthetic_rank.h"

namespace mead::bench {
namespace {

std::string Quoted(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') quoted += '\\';
    quoted += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;
  }
  return quoted + '"';
}

double SecondsOf(SyntheticRank& rank, int steps) {
  const auto start = std::chrono::steady_clock::now();
  rank.Train(steps);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Operators and kernels in passes of their own: watching the kernels slows the operators down.
std::string Profile(SyntheticRank& rank, int steps, bool gpu) {
  std::ostringstream json;
  OperatorTimes::Start();
  const double seconds = SecondsOf(rank, steps);
  const auto operators = OperatorTimes::Stop();
  json << "{\"seconds\": " << seconds << ", \"operators\": [";
  const char* comma = "";
  for (const auto& [name, totals] : operators) {
    json << comma << "[" << Quoted(name) << ", " << totals.calls << ", " << totals.self_us << "]";
    comma = ", ";
  }
  json << "], \"kernels\": [";
  if (gpu) {
    KernelTimes::Start();
    rank.Train(steps);
    comma = "";
    for (const auto& [key, totals] : KernelTimes::Stop()) {
      json << comma << "[" << Quoted(key.first) << ", " << Quoted(key.second) << ", "
           << totals.calls << ", " << totals.us << "]";
      comma = ", ";
    }
  }
  json << "]}";
  return json.str();
}

void Run(char** argv) {
  const RankOptions options = RankOptionsFrom(argv + 1);
  const bool gpu = options.device != "cpu";
  SyntheticRank rank(options);
  rank.WarmUp();
  AnswerOrders(
      {.run = [&](int steps) { rank.Train(steps); }, .others = {{"profile", [&](std::istream& in) {
                                                                   int steps = 0;
                                                                   in >> steps;
                                                                   return Profile(rank, steps, gpu);
                                                                 }}}});
}

}  // namespace
}  // namespace mead::bench

int main(int argc, char** argv) {
  if (argc != 10) return 2;
  return mead::bench::RunSide("step_profile_ours", [&] { mead::bench::Run(argv); });
}
