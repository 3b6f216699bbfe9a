#define MEAD_RENDER_KERNEL kRenderAvx2
#define MEAD_RENDER_ISA "avx2"
#include "common/augment/render_kernels.inc"
