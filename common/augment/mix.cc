#include "common/augment/mix.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>

#include "common/base/rng.h"

namespace mead {
namespace {

constexpr uint64_t kStream = 2;  // of a key's; pictures have 0 and 1
constexpr double kMostAlpha = 100;

// The logarithm of a number drawn from Gamma(alpha + 1), by Marsaglia and Tsang's method (2000).
double LogGammaAbove(Rng& rng, double alpha) {
  const double d = alpha + 1 - 1.0 / 3;
  const double c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = rng.Normal();
    const double root = 1 + c * x;
    const double u = 1 - rng.NextDouble();
    if (root <= 0) continue;
    const double v = root * root * root;
    if (std::log(u) < 0.5 * x * x + d - d * v + d * std::log(v)) return std::log(d * v);
  }
}

// Beta(alpha, alpha) as the share of one gamma number in two, in logarithms: with a small alpha
// the numbers themselves vanish.
double DrawShare(Rng& rng, double alpha) {
  const auto log_gamma = [&] {
    const double above = LogGammaAbove(rng, alpha);
    return above + std::log(1 - rng.NextDouble()) / alpha;
  };
  const double own = log_gamma();
  return 1 / (1 + std::exp(own - log_gamma()));
}

PixelBox DrawBox(Rng& rng, double share, int image_size) {
  const auto side = static_cast<uint64_t>(image_size);
  const auto centre_x = static_cast<int32_t>(rng.Below(side));
  const auto centre_y = static_cast<int32_t>(rng.Below(side));
  const auto half = static_cast<int32_t>(0.5 * std::sqrt(share) * image_size);
  const int32_t left = std::max(0, centre_x - half), top = std::max(0, centre_y - half);
  return {.left = left,
          .top = top,
          .width = std::min(image_size, centre_x + half) - left,
          .height = std::min(image_size, centre_y + half) - top};
}

std::string Problem(const char* key, double alpha) {
  if (alpha >= 0 && alpha <= kMostAlpha) return {};
  std::ostringstream text;
  text << "augment." << key << " is " << alpha << ": expected 0 to " << kMostAlpha;
  return text.str();
}

}  // namespace

std::string ProblemOf(const MixOptions& options) {
  const std::string problem = Problem("mixup", options.mixup);
  return problem.empty() ? Problem("cutmix", options.cutmix) : problem;
}

MixPlan DrawMix(const MixKey& key, const MixOptions& options, int image_size) {
  if (!options.any()) return {};
  Rng rng = Rng::ForKey(key.seed, key.epoch, key.step, kStream);
  const bool coin = rng.NextUint64() >> 63 != 0;
  const bool cuts = options.cutmix > 0 && (options.mixup == 0 || coin);
  const double share = DrawShare(rng, cuts ? options.cutmix : options.mixup);
  constexpr int32_t kOne = 1 << kMixBits;
  if (cuts) return {.box = DrawBox(rng, share, image_size), .partner_weight = kOne};
  return {.box = {.left = 0, .top = 0, .width = image_size, .height = image_size},
          .partner_weight = static_cast<int32_t>(std::lround(share * kOne))};
}

double PartnerShare(const MixPlan& plan, int image_size) {
  const double area = static_cast<double>(plan.box.width) * plan.box.height;
  return std::ldexp(plan.partner_weight, -kMixBits) * area / image_size / image_size;
}

void MixPictures(const uint8_t* own, const uint8_t* partner, const MixPlan& plan, int image_size,
                 uint8_t* out) {
  const size_t row_bytes = 3 * static_cast<size_t>(image_size);
  std::memcpy(out, own, row_bytes * static_cast<size_t>(image_size));
  for (int32_t y = plan.box.top; y < plan.box.top + plan.box.height; ++y) {
    const size_t begin =
        static_cast<size_t>(y) * row_bytes + 3 * static_cast<size_t>(plan.box.left);
    const size_t end = begin + 3 * static_cast<size_t>(plan.box.width);
    for (size_t i = begin; i < end; ++i) {
      out[i] = static_cast<uint8_t>(Mixed(own[i], partner[i], plan.partner_weight));
    }
  }
}

BatchMix PartnersOf(size_t size, size_t begin, size_t count) {
  BatchMix mix;
  mix.pictures =
      static_cast<int32_t>(count + (PlaceFromElsewhere(size, begin, count).has_value() ? 1 : 0));
  for (size_t i = 0; i < count; ++i) {
    // Behind the last comes the picture from elsewhere; one rank alone has the first again.
    mix.partners.push_back(static_cast<int32_t>((i + 1) % static_cast<size_t>(mix.pictures)));
  }
  return mix;
}

std::optional<size_t> PlaceFromElsewhere(size_t size, size_t begin, size_t count) {
  if (count == 0 || count == size) return std::nullopt;
  return (begin + count) % size;
}

}  // namespace mead
