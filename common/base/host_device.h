// Marks functions that a CPU and a GPU compile from one text.
#pragma once

#if defined(__CUDACC__)
#define MEAD_HOST_DEVICE __host__ __device__
#else
#define MEAD_HOST_DEVICE
#endif
