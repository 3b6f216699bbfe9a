#include "client/loss_page.h"

#include <algorithm>
#include <cstdint>
#include <span>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/format.h"
#include "common/dataset/image.h"
#include "common/status_util.h"

namespace mead::client {
namespace {

constexpr int kJpegQuality = 85;

constexpr char kStyle[] = R"css(
body { font: 15px/1.4 system-ui, sans-serif; margin: 2rem; color: #222; background: #fff; }
ol { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1.2rem;
     list-style: none; padding: 0; }
img { width: 100%; height: 14rem; object-fit: contain; background: #111; }
.true { color: #176a2b; } .predicted { color: #a4161a; }
.path { color: #666; font-size: 12px; overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818; }
  .true { color: #7bd88f; } .predicted { color: #ff8a8a; } .path { color: #999; } }
)css";

std::string Escaped(const std::string& text) {
  std::string result;
  for (const char c : text) {
    switch (c) {
      case '&':
        result += "&amp;";
        break;
      case '<':
        result += "&lt;";
        break;
      case '>':
        result += "&gt;";
        break;
      case '"':
        result += "&quot;";
        break;
      case '\'':
        result += "&#39;";
        break;
      default:
        result += c;
    }
  }
  return result;
}

// Each pixel is the mean of those that it covers. Only ever smaller.
dataset::Image Shrunk(const dataset::Image& image, int width, int height) {
  dataset::Image small{.width = width, .height = height, .pixels = {}};
  small.pixels.reserve(static_cast<size_t>(width) * static_cast<size_t>(height) * 3);
  const auto edge = [](int at, int from, int to) {
    return static_cast<int>(int64_t{at} * from / to);
  };
  for (int y = 0; y < height; ++y) {
    const int top = edge(y, image.height, height), bottom = edge(y + 1, image.height, height);
    for (int x = 0; x < width; ++x) {
      const int left = edge(x, image.width, width), right = edge(x + 1, image.width, width);
      for (int channel = 0; channel < 3; ++channel) {
        int64_t sum = 0;
        for (int row = top; row < bottom; ++row) {
          for (int column = left; column < right; ++column) {
            const int64_t at = (int64_t{row} * image.width + column) * 3 + channel;
            sum += image.pixels[static_cast<size_t>(at)];
          }
        }
        small.pixels.push_back(
            static_cast<uint8_t>(sum / (int64_t{bottom - top} * (right - left))));
      }
    }
  }
  return small;
}

}  // namespace

absl::StatusOr<std::string> SmallJpeg(std::string_view picture, int side) {
  const std::span<const uint8_t> bytes(reinterpret_cast<const uint8_t*>(picture.data()),
                                       picture.size());
  dataset::ImageDecoder decoder;
  MEAD_ASSIGN_OR_RETURN(dataset::Image image, decoder.Decode(bytes, side));
  const int longer = std::max(image.width, image.height);
  if (longer > side) {
    const auto scaled = [&](int length) {
      return std::max(1, static_cast<int>(int64_t{length} * side / longer));
    };
    image = Shrunk(image, scaled(image.width), scaled(image.height));
  }
  return dataset::EncodeJpeg(image, kJpegQuality);
}

std::string LossPage(const mead::v1::TopLosses& losses,
                     const std::vector<std::string>& thumbnails) {
  const std::string title =
      Escaped(absl::StrCat("Top losses of trial ", losses.trial_id(), ", epoch ", losses.epoch()));
  std::string page = absl::StrCat(
      "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; img-src data:; "
      "style-src 'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
      title, "</title>\n<style>", kStyle, "</style></head>\n<body><h1>", title, "</h1>\n<p>",
      losses.pictures_size(), " of ", losses.total(),
      " validation pictures, largest loss first. Loss: &minus;log of the probability that the "
      "model gave the true class.</p>\n<ol>\n");
  for (int i = 0; i < losses.pictures_size(); ++i) {
    const mead::v1::JudgedPicture& picture = losses.pictures(i);
    const std::string path = Escaped(picture.picture());
    absl::StrAppend(&page, "<li><img alt=\"", path, "\" src=\"data:image/jpeg;base64,",
                    absl::Base64Escape(thumbnails[static_cast<size_t>(i)]), "\">\n<div>",
                    picture.rank(), ". <span class=\"predicted\">",
                    Escaped(picture.predicted_class()), " ", Percent(picture.probability()),
                    "</span>, truly <span class=\"true\">", Escaped(picture.true_class()), " ",
                    Percent(picture.true_probability()), "</span></div>\n<div>loss ",
                    absl::StrFormat("%.3f", picture.loss()), "</div><div class=\"path\">", path,
                    "</div></li>\n");
  }
  return page + "</ol></body></html>\n";
}

}  // namespace mead::client
