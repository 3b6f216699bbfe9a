#include "common/augment/render.h"

#include "common/augment/render_isa.h"

namespace mead {
namespace {

// The fastest that this machine runs.
const RenderKernel& Choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return kRenderAvx2;
#endif
  return kRenderPortable;
}

}  // namespace

void RenderAugmented(const uint8_t* source, PictureSize size, const AugmentPlan& plan,
                     int image_size, uint8_t* out) {
  static const RenderKernel& kernel = Choose();
  kernel.render(source, size.width, size.height, plan, image_size, out);
}

}  // namespace mead
