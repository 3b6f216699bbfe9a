// Rendering in one of several instruction sets: render_kernels.inc is compiled once for each,
// and render.cc chooses at run time.
//
// Free of inline functions of the standard library: a copy of one compiled for AVX2 must
// never be linked into code that runs everywhere.
#pragma once

#include <cstdint>

#include "common/augment/augment_math.h"

namespace mead {

struct RenderKernel {
  const char* isa;
  // source: [height, width, 3]; out: [image_size, image_size, 3].
  void (*render)(const uint8_t* source, int width, int height, const AugmentPlan& plan,
                 int image_size, uint8_t* out);
};

extern const RenderKernel kRenderPortable;
#if defined(__x86_64__)
extern const RenderKernel kRenderAvx2;
#endif

}  // namespace mead
