// The GPUs of this machine, as the driver lists them: no CUDA is loaded to count them.
#pragma once

namespace mead {

// One folder per GPU; absent without a driver.
inline constexpr char kGpuFolder[] = "/proc/driver/nvidia/gpus";

// 0 without a driver.
int CountGpus();

}  // namespace mead
