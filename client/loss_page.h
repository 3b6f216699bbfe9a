// The pictures that a model was most wrong about, as one HTML page that needs nothing else:
// thumbnails are inside it, and every text from elsewhere is escaped.
//
// Thread: pure functions.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "mead/v1/evaluation.pb.h"

namespace mead::client {

inline constexpr int kThumbnailPixels = 256;

// A JPEG of a picture (JPEG or PNG), its longer side at most `side` pixels.
// Errors: INVALID_ARGUMENT (it cannot be decoded).
[[nodiscard]] absl::StatusOr<std::string> SmallJpeg(std::string_view picture,
                                                    int side = kThumbnailPixels);

// thumbnails: JPEG files, one per picture of `losses`.
std::string LossPage(const mead::v1::TopLosses& losses, const std::vector<std::string>& thumbnails);

}  // namespace mead::client
