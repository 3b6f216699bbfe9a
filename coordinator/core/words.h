// Inside the core: how messages to people are put together.
#pragma once

#include <string>
#include <string_view>

#include "coordinator/core/event.h"

namespace mead::core {

struct Checkpoint;

// "1 slot", "2 slots".
std::string Count(int64_t n, std::string_view thing);
// "4 s", "1.5 s", "10 min".
std::string Duration(TimeMicros micros);
// Six significant digits at most.
std::string Number(double value);
// "user error", "out of memory", "infrastructure failure".
const char* Name(FailureKind kind);
const char* Name(Accelerator accelerator);
// "epoch 3", or in the midst of one "epoch 4 after 17 steps".
std::string Name(const Checkpoint& checkpoint);

}  // namespace mead::core
