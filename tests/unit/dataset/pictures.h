// Small pictures and folders of them, for tests.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "absl/status/statusor.h"
#include "common/dataset/image.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

// A smooth picture; those of two seeds are no near-duplicates, from some 30 pixels a side on.
Image SmoothImage(int width, int height, uint64_t seed);

// Its JPEG file.
std::string Jpeg(int width, int height, uint64_t seed);

// Its PNG file.
std::string Png(int width, int height, uint64_t seed);

// Its lossless WebP file, and its TIFF file without compression.
std::string Webp(int width, int height, uint64_t seed);
std::string Tiff(int width, int height, uint64_t seed);

// A JPEG file whose EXIF data say that it was taken so (1 to 8).
std::string WithOrientation(std::string jpeg, int orientation);

// A JPEG file whose header claims other sides.
std::string WithSides(std::string jpeg, int width, int height);

// Writes a file, making its folder.
void Put(const std::filesystem::path& path, const std::string& content);

// `count` JPEGs named 0.jpg ... in a folder; seeds from `seed` on.
void PutJpegs(const std::filesystem::path& folder, int count, uint64_t seed);

// A data set of what lies at `path`, made in `out_dir` with no other options.
absl::StatusOr<Manifest> BuildFrom(const std::filesystem::path& path, const std::string& out_dir);

}  // namespace mead::dataset
