#define MEAD_NORM_TABLE kNormCpuPortable
#define MEAD_NORM_ISA "portable"
#include "worker/train/ops/norm_cpu_kernels.inc"
