#include "coordinator/core/words.h"

#include <cstdio>

#include "coordinator/core/state.h"

namespace mead::core {

std::string Count(int64_t n, std::string_view thing) {
  std::string text = std::to_string(n) + " ";
  text += thing;
  if (n != 1) text += 's';
  return text;
}

std::string Duration(TimeMicros micros) {
  constexpr TimeMicros kMinute = 60'000'000;
  if (micros >= kMinute && micros % kMinute == 0) return std::to_string(micros / kMinute) + " min";
  return Number(static_cast<double>(micros) / 1e6) + " s";
}

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

const char* Name(FailureKind kind) {
  switch (kind) {
    case FailureKind::kNone:
      return "no failure";
    case FailureKind::kUserError:
      return "user error";
    case FailureKind::kOutOfMemory:
      return "out of memory";
    case FailureKind::kInfrastructure:
      return "infrastructure failure";
    case FailureKind::kPreempted:
      return "preempted";
  }
  return "?";
}

const char* Name(Accelerator accelerator) {
  switch (accelerator) {
    case Accelerator::kAny:
      return "any";
    case Accelerator::kCpu:
      return "cpu";
    case Accelerator::kGpu:
      return "gpu";
  }
  return "?";
}

std::string Name(const Checkpoint& checkpoint) {
  if (checkpoint.step == 0) return "epoch " + std::to_string(checkpoint.epoch);
  return "epoch " + std::to_string(checkpoint.epoch + 1) + " after " +
         Count(checkpoint.step, "step");
}

}  // namespace mead::core
