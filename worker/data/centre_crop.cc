#include "worker/data/centre_crop.h"

#include <algorithm>
#include <cmath>
#include <opencv2/core.hpp>
#include <opencv2/imgproc.hpp>

namespace mead::data {

void ResizeCentreCropInto(const uint8_t* pixels, PictureSize size, int image_size, uint8_t* out) {
  // OpenCV has no view of constant pixels, and does not write to a source.
  const cv::Mat source(size.height, size.width, CV_8UC3, const_cast<uint8_t*>(pixels));
  const int shorter = std::min(source.cols, source.rows);
  const double scale = static_cast<double>(image_size) / shorter;
  const cv::Size target_size(
      source.cols == shorter ? image_size : static_cast<int>(std::lround(source.cols * scale)),
      source.rows == shorter ? image_size : static_cast<int>(std::lround(source.rows * scale)));
  cv::Mat resized = source;
  if (target_size != source.size()) {
    cv::resize(source, resized, target_size, 0, 0, scale < 1 ? cv::INTER_AREA : cv::INTER_LINEAR);
  }
  const cv::Rect crop((target_size.width - image_size) / 2, (target_size.height - image_size) / 2,
                      image_size, image_size);
  cv::Mat target(image_size, image_size, CV_8UC3, out);
  resized(crop).copyTo(target);
}

}  // namespace mead::data
