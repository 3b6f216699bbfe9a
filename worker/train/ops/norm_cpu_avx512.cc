#define MEAD_NORM_TABLE kNormCpuAvx512
#define MEAD_NORM_ISA "avx512"
#include "worker/train/ops/norm_cpu_kernels.inc"
