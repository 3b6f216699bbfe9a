#include "common/augment/render.h"

#include "common/augment/render_isa.h"

namespace mead {
namespace {

const RenderKernel& Choose() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return kRenderAvx2;
#endif
  return kRenderPortable;
}

}  // namespace

const RenderKernel& ActiveRenderKernel() {
  static const RenderKernel& kernel = Choose();
  return kernel;
}

const char* RenderIsa() { return ActiveRenderKernel().isa; }

void RenderAugmented(const uint8_t* source, PictureSize size, const AugmentPlan& plan,
                     int image_size, uint8_t* out) {
  ActiveRenderKernel().render(source, size.width, size.height, plan, image_size, out);
}

}  // namespace mead
