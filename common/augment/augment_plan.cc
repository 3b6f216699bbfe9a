#include "common/augment/augment_plan.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <sstream>

#include "common/augment/erasing.h"
#include "common/base/rng.h"

namespace mead {
namespace {

bool Coin(Rng& rng) { return (rng.NextUint64() >> 63) != 0; }

int64_t Fixed(double value, int bits) { return std::llround(std::ldexp(value, bits)); }

std::string Number(double value) {
  std::ostringstream text;
  text << value;
  return text.str();
}

}  // namespace

std::string ProblemOf(const AugmentOptions& options) {
  if (!(options.rotate >= 0 && options.rotate <= 180)) {
    return "augment.rotate is " + Number(options.rotate) + ": expected 0 to 180 degrees";
  }
  if (!(options.crop_lo > 0 && options.crop_lo <= options.crop_hi && options.crop_hi <= 1)) {
    return "augment.crop_scale is [" + Number(options.crop_lo) + ", " + Number(options.crop_hi) +
           "]: expected 0 < low <= high <= 1";
  }
  if (!(options.lighting >= 0 && options.lighting <= 1)) {
    return "augment.lighting is " + Number(options.lighting) + ": expected 0 to 1";
  }
  if (!(options.erasing >= 0 && options.erasing <= 1)) {
    return "augment.erasing is " + Number(options.erasing) + ": expected 0 to 1";
  }
  return {};
}

int DecodeSideFor(const AugmentOptions& options, int image_size) {
  // The middle of the crop's range: the smallest crops may be magnified a little, which costs less
  // than decoding every picture at twice the size for them.
  double share = (options.crop_lo + options.crop_hi) / 2;
  // Where a position box is cut off, some three quarters of the shorter side are left.
  if (options.position_box == PositionBox::kCrop) share *= 0.75 * 0.75;
  return static_cast<int>(std::ceil(image_size / std::sqrt(share)));
}

AugmentPlan PlainPlan(PictureSize size, int image_size) {
  const double scale = static_cast<double>(std::min(size.width, size.height)) / image_size;
  const auto origin = [&](int side) {
    return Fixed((side - scale * image_size) / 2 + scale / 2 - 0.5, kPositionBits);
  };
  return {.xx = Fixed(scale, kPositionBits),
          .x0 = origin(size.width),
          .yy = Fixed(scale, kPositionBits),
          .y0 = origin(size.height),
          .gain = 1 << kGainBits};
}

AugmentPlan DrawAugmentation(const AugmentKey& key, const AugmentOptions& options, PictureSize size,
                             int image_size) {
  Rng rng = Rng::ForKey(key.seed, key.epoch, key.sample, key.turn);
  // Every number is drawn whatever the options are, so that switching one transform on leaves
  // the others as they were.
  const double angle = rng.Uniform(-options.rotate, options.rotate) * std::numbers::pi / 180;
  const bool flip_x = Coin(rng);
  const bool flip_y = Coin(rng);
  const double share = rng.Uniform(options.crop_lo, options.crop_hi);
  const double place_x = rng.NextDouble();
  const double place_y = rng.NextDouble();
  const double brightness = 1 + rng.Uniform(-options.lighting, options.lighting);
  const double contrast = 1 + rng.Uniform(-options.lighting, options.lighting);

  const double side = std::min(size.width, size.height) * std::sqrt(share);
  const double centre_x = side / 2 + place_x * (size.width - side);
  const double centre_y = side / 2 + place_y * (size.height - side);
  const double scale = side / image_size;  // input pixels per output pixel
  const auto flips = static_cast<unsigned>(options.flip);
  const double sign_x = (flips & 1u) != 0 && flip_x ? -1 : 1;
  const double sign_y = (flips & 2u) != 0 && flip_y ? -1 : 1;

  // From output to input, both measured from pixel centres:
  // in = R(angle) * scale * flip * (out + 0.5 - size / 2) + centre - 0.5.
  const double xx = std::cos(angle) * scale * sign_x;
  const double xy = -std::sin(angle) * scale * sign_y;
  const double yx = std::sin(angle) * scale * sign_x;
  const double yy = std::cos(angle) * scale * sign_y;
  const double origin = 0.5 - image_size / 2.0;
  return {.xx = Fixed(xx, kPositionBits),
          .xy = Fixed(xy, kPositionBits),
          .x0 = Fixed((xx + xy) * origin + centre_x - 0.5, kPositionBits),
          .yx = Fixed(yx, kPositionBits),
          .yy = Fixed(yy, kPositionBits),
          .y0 = Fixed((yx + yy) * origin + centre_y - 0.5, kPositionBits),
          // Contrast turns about mid-grey, brightness scales the result.
          .gain = static_cast<int32_t>(Fixed(brightness * contrast, kGainBits)),
          .offset = static_cast<int32_t>(Fixed(128 * (1 - contrast) * brightness, kOffsetBits)),
          .erased = DrawErasing(key, options.erasing, image_size)};
}

}  // namespace mead
