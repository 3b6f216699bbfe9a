#include "worker/data/augment.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

#include "common/base/rng.h"

namespace mead::data {
namespace {

// A view of the picture; OpenCV has no const one, and does not write to a source.
cv::Mat View(const dataset::Image& image) {
  return cv::Mat(image.height, image.width, CV_8UC3, const_cast<uint8_t*>(image.pixels.data()));
}

bool Coin(Rng& rng) { return (rng.NextUint64() >> 63) != 0; }

}  // namespace

int DecodeSideFor(const AugmentOptions& options, int image_size) {
  // The middle of the crop's range: the smallest crops may be magnified a little, which costs less
  // than decoding every picture at twice the size for them.
  const double share = (options.crop_lo + options.crop_hi) / 2;
  return static_cast<int>(std::ceil(image_size / std::sqrt(share)));
}

void AugmentInto(const dataset::Image& image, const AugmentOptions& options, int image_size,
                 uint64_t seed, uint64_t epoch, uint64_t sample, uint8_t* out) {
  Rng rng = Rng::ForKey(seed, epoch, sample);
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

  const double side = std::min(image.width, image.height) * std::sqrt(share);
  const double centre_x = side / 2 + place_x * (image.width - side);
  const double centre_y = side / 2 + place_y * (image.height - side);
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
  const cv::Matx23d to_input(xx, xy, (xx + xy) * origin + centre_x - 0.5,  //
                             yx, yy, (yx + yy) * origin + centre_y - 0.5);
  cv::Mat target(image_size, image_size, CV_8UC3, out);
  cv::warpAffine(View(image), target, to_input, target.size(),
                 cv::INTER_LINEAR | cv::WARP_INVERSE_MAP, cv::BORDER_REFLECT_101);
  if (options.lighting > 0) {
    // Contrast turns about mid-grey, brightness scales the result.
    target.convertTo(target, CV_8U, brightness * contrast, 128 * (1 - contrast) * brightness);
  }
}

void ResizeCentreCropInto(const dataset::Image& image, int image_size, uint8_t* out) {
  const cv::Mat source = View(image);
  const int shorter = std::min(source.cols, source.rows);
  const double scale = static_cast<double>(image_size) / shorter;
  const cv::Size size(
      source.cols == shorter ? image_size : static_cast<int>(std::lround(source.cols * scale)),
      source.rows == shorter ? image_size : static_cast<int>(std::lround(source.rows * scale)));
  cv::Mat resized = source;
  if (size != source.size()) {
    cv::resize(source, resized, size, 0, 0, scale < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  const cv::Rect crop((size.width - image_size) / 2, (size.height - image_size) / 2, image_size,
                      image_size);
  cv::Mat target(image_size, image_size, CV_8UC3, out);
  resized(crop).copyTo(target);
}

}  // namespace mead::data
