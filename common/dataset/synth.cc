#include "common/dataset/synth.h"

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "absl/strings/str_cat.h"
#include "common/base/rng.h"
#include "common/dataset/image.h"
#include "common/dataset/parallel.h"
#include "common/files.h"
#include "common/status_util.h"

namespace mead::dataset {
namespace {

namespace fs = std::filesystem;

absl::Status WritePicture(const fs::path& path, const Image& image, int quality) {
  MEAD_ASSIGN_OR_RETURN(const std::string jpeg, EncodeJpeg(image, quality));
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(jpeg.data(), static_cast<std::streamsize>(jpeg.size()));
  file.close();
  if (file.fail()) {
    return absl::ResourceExhaustedError(
        absl::StrCat("cannot write ", path.string(), ": is the disk full?"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status SynthesizeDataset(const SynthOptions& options) {
  if (options.images_per_class < 1 || options.images_per_class > 100'000) {
    return absl::InvalidArgumentError(
        absl::StrCat("images per class are ", options.images_per_class, ": expected 1 to 100000"));
  }
  if (options.size < 32 || options.size > 2048) {
    return absl::InvalidArgumentError(
        absl::StrCat("the picture size is ", options.size, " pixels: expected 32 to 2048"));
  }
  for (const char* name : kKvasirClasses) {
    MEAD_RETURN_IF_ERROR(MakeDirs(fs::path(options.out_dir) / name));
  }
  const auto per_class = static_cast<uint64_t>(options.images_per_class);
  const uint64_t total = per_class * kKvasirClasses.size();
  std::mutex mutex;
  absl::Status first_error;
  const auto draw = [&](uint64_t i) {
    const uint64_t class_id = i / per_class;
    const uint64_t index = i % per_class;
    const std::string name = kKvasirClasses[class_id];
    char number[16];
    std::snprintf(number, sizeof(number), "-%05u.jpg", static_cast<unsigned>(index));
    Image image;
    image.width = options.size;
    image.height = options.size;
    image.pixels = DrawEndoscopy(static_cast<int>(class_id), index, options.size, options.seed);
    const int quality = 80 + static_cast<int>(Rng::ForKey(options.seed, i).Below(15));
    const absl::Status status =
        WritePicture(fs::path(options.out_dir) / name / (name + number), image, quality);
    const std::lock_guard lock(mutex);
    if (first_error.ok()) first_error = status;
  };
  ParallelFor(
      total, options.threads, [&] { return draw; },
      [&](uint64_t done) {
        if (options.progress) options.progress("draw", done, total);
      });
  return first_error;
}

}  // namespace mead::dataset
