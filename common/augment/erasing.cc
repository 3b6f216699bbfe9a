#include "common/augment/erasing.h"

#include <cmath>

#include "common/base/rng.h"

namespace mead {
namespace {

constexpr uint64_t kStream = 1;  // of the key's; 0 is the plan's
constexpr double kLeastShare = 0.02, kMostShare = 0.33;
constexpr double kLeastRatio = 0.3, kMostRatio = 3.3;  // height to width
constexpr int kTries = 10;

}  // namespace

PixelBox DrawErasing(const AugmentKey& key, double probability, int image_size) {
  Rng rng = Rng::ForKey(key.seed, key.epoch, key.sample, kStream);
  if (rng.NextDouble() >= probability) return {};
  for (int i = 0; i < kTries; ++i) {
    const double area = rng.Uniform(kLeastShare, kMostShare) * image_size * image_size;
    const double ratio = std::exp(rng.Uniform(std::log(kLeastRatio), std::log(kMostRatio)));
    const auto height = static_cast<int32_t>(std::lround(std::sqrt(area * ratio)));
    const auto width = static_cast<int32_t>(std::lround(std::sqrt(area / ratio)));
    // A picture that is gone altogether teaches nothing.
    if (height < 1 || width < 1 || height >= image_size || width >= image_size) continue;
    const auto place = [&](int32_t length) {
      return static_cast<int32_t>(rng.Below(static_cast<uint64_t>(image_size - length + 1)));
    };
    const int32_t left = place(width);
    return {.left = left, .top = place(height), .width = width, .height = height};
  }
  return {};
}

}  // namespace mead
