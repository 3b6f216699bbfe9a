#define MEAD_NORM_TABLE kNormCpuAvx512Bf16
#define MEAD_NORM_ISA "avx512_bf16"
#include "worker/train/ops/norm_cpu_kernels.inc"
