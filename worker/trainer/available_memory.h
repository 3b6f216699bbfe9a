// What this process may still take of the machine's memory.
#pragma once

#include <cstdint>

namespace mead::trainer {

// The smaller of what the kernel calls available and what is left of the cgroup's
// limit (version 2), in bytes; 0 where neither can be read.
int64_t AvailableMemoryBytes();

}  // namespace mead::trainer
