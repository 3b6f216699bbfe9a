#define MEAD_NORM_TABLE kNormCpuAvx2
#define MEAD_NORM_ISA "avx2"
#include "worker/train/ops/norm_cpu_kernels.inc"
