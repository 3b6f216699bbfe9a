#include "common/dataset/verify_image.h"

#include <filesystem>
#include <memory>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/dataset/parallel.h"
#include "common/files.h"
#include "common/sha256.h"

namespace mead::dataset {

absl::StatusOr<CheckedImage> CheckImageFile(const std::string& path, ImageDecoder& decoder) {
  std::error_code error;
  CheckedImage checked;
  checked.bytes = std::filesystem::file_size(path, error);
  if (error) return absl::UnavailableError(absl::StrCat("cannot be read: ", error.message()));
  if (checked.bytes > kMaxImageFileBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("larger than ", kMaxImageFileBytes >> 20, " MiB"));
  }
  const absl::StatusOr<std::string> data = ReadFile(path);
  if (!data.ok()) {
    const bool denied = data.status().code() == absl::StatusCode::kPermissionDenied;
    return absl::Status(data.status().code(),
                        denied ? "cannot be read: permission denied" : "cannot be read");
  }
  checked.bytes = data->size();
  const std::span<const uint8_t> file(reinterpret_cast<const uint8_t*>(data->data()), data->size());
  absl::StatusOr<ImageInfo> info = decoder.Info(file);
  if (!info.ok()) return info.status();
  checked.info = *info;
  // A small scale: all of the entropy-coded data is read, which is what breaks, at a fraction of
  // the arithmetic.
  const absl::StatusOr<Image> image = decoder.Decode(file, kThumbnailDecodeSide);
  if (!image.ok()) return image.status();
  checked.thumbnail = MakeThumbnail(*image);
  checked.digest = DigestOf(*data);
  return checked;
}

std::vector<absl::StatusOr<CheckedImage>> CheckImageFiles(const std::vector<std::string>& paths,
                                                          int threads, const Progress& progress) {
  std::vector<absl::StatusOr<CheckedImage>> results(paths.size());
  ParallelFor(
      paths.size(), threads,
      [&]() -> std::function<void(uint64_t)> {
        return [&, decoder = std::make_shared<ImageDecoder>()](uint64_t i) {
          results[i] = CheckImageFile(paths[i], *decoder);
        };
      },
      [&](uint64_t done) {
        if (progress) progress("check", done, paths.size());
      });
  return results;
}

}  // namespace mead::dataset
