// Keeps the memory of large CPU tensors for the next step.
//
// A training step allocates and frees the same tensors every time. With malloc
// the large ones go back to the kernel and come again page by page, zeroed: up
// to a sixth of a ResNet step's time. The pool hands freed blocks out again, and
// asks for huge pages, so that strided passes miss the TLB less often.
//
// Size:   tensors of 64 KiB and more. A free block serves a request when it is at
//         most a quarter too large. Free blocks beyond one and a half times the
//         peak in use go back to the kernel, largest first, until they are no more than
//         the peak: a step's own blocks never do, or each step would fetch them again.
// Thread: any.
#pragma once

#include <cstdint>

namespace mead::train {

struct CpuPoolUse {
  int64_t in_use_bytes = 0;
  int64_t peak_bytes = 0;  // of in_use_bytes since ResetCpuPoolPeak
  int64_t cached_bytes = 0;
};

// Makes the pool LibTorch's CPU allocator, for the rest of the process, and sets the
// most that it hands out; beyond it tensors fail as they do without memory.
// limit_bytes: 0 for no limit but the machine's.
void InstallCpuPool(int64_t limit_bytes);

// Large tensors alone.
CpuPoolUse CpuPoolUsage();
void ResetCpuPoolPeak();

// Gives all free blocks back to the kernel.
void TrimCpuPool();

}  // namespace mead::train
