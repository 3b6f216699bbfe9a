// Augmentation once more, slowly and in double precision, to compare with.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <vector>

#include "common/augment/augment_plan.h"
#include "common/base/rng.h"

namespace mead {

struct ReferencePlan {
  double xx = 0, xy = 0, x0 = 0;
  double yx = 0, yy = 0, y0 = 0;
  double gain = 0, offset = 0;
  int erased_left = 0, erased_top = 0, erased_right = 0, erased_bottom = 0;
};

// As torchvision's RandomErasing draws it, from a stream of its own.
inline void ReferenceErase(const AugmentKey& key, double probability, int image_size,
                           ReferencePlan& plan) {
  Rng rng = Rng::ForKey(key.seed, key.epoch, key.sample, 1);
  if (probability <= rng.NextDouble()) return;
  for (int tries = 0; tries < 10; ++tries) {
    const double area = image_size * image_size * rng.Uniform(0.02, 0.33);
    const double ratio = std::exp(rng.Uniform(std::log(0.3), std::log(3.3)));
    const auto height = static_cast<int>(std::round(std::sqrt(area * ratio)));
    const auto width = static_cast<int>(std::round(std::sqrt(area / ratio)));
    if (height == 0 || width == 0 || height >= image_size || width >= image_size) continue;
    const auto rest = [&](int length) { return static_cast<uint64_t>(image_size + 1 - length); };
    plan.erased_left = static_cast<int>(rng.Below(rest(width)));
    plan.erased_top = static_cast<int>(rng.Below(rest(height)));
    plan.erased_right = plan.erased_left + width;
    plan.erased_bottom = plan.erased_top + height;
    return;
  }
}

// The draws and their order are what a seed means: they never change.
inline ReferencePlan ReferenceDraw(const AugmentKey& key, const AugmentOptions& options,
                                   PictureSize size, int image_size) {
  Rng rng = Rng::ForKey(key.seed, key.epoch, key.sample);
  const double angle = rng.Uniform(-options.rotate, options.rotate) * M_PI / 180;
  const bool mirror_x = rng.NextUint64() >> 63 == 1 &&
                        (options.flip == Flip::kHorizontal || options.flip == Flip::kBoth);
  const bool mirror_y = rng.NextUint64() >> 63 == 1 &&
                        (options.flip == Flip::kVertical || options.flip == Flip::kBoth);
  const double side =
      std::min(size.width, size.height) * std::sqrt(rng.Uniform(options.crop_lo, options.crop_hi));
  const double centre_x = side / 2 + rng.NextDouble() * (size.width - side) - 0.5;
  const double centre_y = side / 2 + rng.NextDouble() * (size.height - side) - 0.5;
  const double brightness = 1 + rng.Uniform(-options.lighting, options.lighting);
  const double contrast = 1 + rng.Uniform(-options.lighting, options.lighting);
  const double scale = side / image_size;
  ReferencePlan plan;
  plan.xx = std::cos(angle) * scale * (mirror_x ? -1 : 1);
  plan.yx = std::sin(angle) * scale * (mirror_x ? -1 : 1);
  plan.xy = -std::sin(angle) * scale * (mirror_y ? -1 : 1);
  plan.yy = std::cos(angle) * scale * (mirror_y ? -1 : 1);
  const double middle = (image_size - 1) / 2.0;
  plan.x0 = centre_x - (plan.xx + plan.xy) * middle;
  plan.y0 = centre_y - (plan.yx + plan.yy) * middle;
  plan.gain = brightness * contrast;
  plan.offset = brightness * (128 - 128 * contrast);
  ReferenceErase(key, options.erasing, image_size, plan);
  return plan;
}

// [image_size, image_size, 3].
inline std::vector<uint8_t> ReferencePixels(const std::vector<uint8_t>& picture, PictureSize size,
                                            const ReferencePlan& plan, int image_size) {
  const auto level = [&](double at_x, double at_y, int c) {
    // Walks back into the picture from its outermost pixels, as often as it takes.
    const auto walk = [](int i, int n) {
      while (n > 1 && (i < 0 || i >= n)) i = i < 0 ? -i : 2 * (n - 1) - i;
      return n > 1 ? i : 0;
    };
    const int x = walk(static_cast<int>(at_x), size.width);
    const int y = walk(static_cast<int>(at_y), size.height);
    return static_cast<double>(picture[static_cast<size_t>(3 * (y * size.width + x) + c)]);
  };
  std::vector<uint8_t> out;
  for (int y = 0; y < image_size; ++y) {
    for (int x = 0; x < image_size; ++x) {
      const double in_x = plan.xx * x + plan.xy * y + plan.x0;
      const double in_y = plan.yx * x + plan.yy * y + plan.y0;
      const double left = std::floor(in_x), top = std::floor(in_y);
      if (x >= plan.erased_left && x < plan.erased_right && y >= plan.erased_top &&
          y < plan.erased_bottom) {
        for (const double mean : {0.485, 0.456, 0.406}) {
          out.push_back(static_cast<uint8_t>(std::lround(255 * mean)));
        }
        continue;
      }
      for (int c = 0; c < 3; ++c) {
        const double above = std::lerp(level(left, top, c), level(left + 1, top, c), in_x - left);
        const double below =
            std::lerp(level(left, top + 1, c), level(left + 1, top + 1, c), in_x - left);
        const double lit = plan.gain * std::lerp(above, below, in_y - top) + plan.offset;
        out.push_back(static_cast<uint8_t>(std::lround(std::clamp(lit, 0.0, 255.0))));
      }
    }
  }
  return out;
}

}  // namespace mead
