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

void Erase(const PixelBox& box, int image_size, uint8_t* out) {
  for (int32_t y = box.top; y < box.top + box.height; ++y) {
    uint8_t* pixel = out + 3 * (int64_t{y} * image_size + box.left);
    for (int32_t x = 0; x < box.width; ++x, pixel += 3) {
      for (int c = 0; c < 3; ++c) pixel[c] = ErasedLevel(c);
    }
  }
}

}  // namespace

void RenderAugmented(const uint8_t* source, PictureSize size, const AugmentPlan& plan,
                     int image_size, uint8_t* out) {
  static const RenderKernel& kernel = Choose();
  kernel.render(source, size.width, size.height, plan, image_size, out);
  Erase(plan.erased, image_size, out);
}

}  // namespace mead
