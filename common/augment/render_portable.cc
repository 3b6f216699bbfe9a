#define MEAD_RENDER_KERNEL kRenderPortable
#define MEAD_RENDER_ISA "portable"
#include "common/augment/render_kernels.inc"
