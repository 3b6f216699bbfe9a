// What this machine computes with.
#pragma once

#include <string>

namespace mead {

// Cores that this process may use: its affinity, and its control group's quota.
int UsableCores();

// "NVIDIA H200", or the CPU's model with its cores; never empty.
std::string DeviceName(bool gpu);

}  // namespace mead
