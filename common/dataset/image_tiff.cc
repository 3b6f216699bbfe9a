#include <tiffio.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/dataset/image_codecs.h"

namespace mead::dataset {
namespace {

// What libtiff may take at once for a file's tables, and beside its pixels.
constexpr tmsize_t kTableBytes = 8 << 20;
// Before some of its messages.
constexpr char kName[] = "picture";

absl::Status Corrupt(const std::string& why) {
  return absl::InvalidArgumentError(absl::StrCat("corrupt TIFF: ", why));
}

// A file in memory, and what libtiff complained of first.
struct Source {
  std::span<const uint8_t> file;
  uint64_t place = 0;
  std::string error{};
};

tmsize_t Read(thandle_t handle, void* out, tmsize_t size) {
  auto* source = static_cast<Source*>(handle);
  if (source->place >= source->file.size() || size <= 0) return 0;
  const size_t n =
      std::min(static_cast<size_t>(size), source->file.size() - static_cast<size_t>(source->place));
  std::memcpy(out, source->file.data() + source->place, n);
  source->place += n;
  return static_cast<tmsize_t>(n);
}

tmsize_t RefuseWrite(thandle_t, void*, tmsize_t) { return 0; }

toff_t Seek(thandle_t handle, toff_t offset, int whence) {
  auto* source = static_cast<Source*>(handle);
  if (whence == SEEK_CUR) offset += source->place;
  if (whence == SEEK_END) offset += source->file.size();
  return source->place = offset;
}

int Close(thandle_t) { return 0; }
toff_t Size(thandle_t handle) { return static_cast<Source*>(handle)->file.size(); }

int OnError(TIFF*, void* user, const char*, const char* format, va_list arguments) {
  auto* source = static_cast<Source*>(user);
  char text[200];
  std::vsnprintf(text, sizeof(text), format, arguments);
  const std::string prefix = absl::StrCat(kName, ": ");
  if (source->error.empty()) {
    source->error = std::string(absl::StripPrefix(text, prefix));
  }
  return 1;
}

int OnWarning(TIFF*, void*, const char*, const char*, va_list) { return 1; }

using Tiff = std::unique_ptr<TIFF, void (*)(TIFF*)>;

Tiff Open(Source& source, tmsize_t most_bytes) {
  const std::unique_ptr<TIFFOpenOptions, void (*)(TIFFOpenOptions*)> options(TIFFOpenOptionsAlloc(),
                                                                             &TIFFOpenOptionsFree);
  TIFFOpenOptionsSetMaxSingleMemAlloc(options.get(), most_bytes);
  TIFFOpenOptionsSetErrorHandlerExtR(options.get(), &OnError, &source);
  TIFFOpenOptionsSetWarningHandlerExtR(options.get(), &OnWarning, nullptr);
  // m: not mapped.
  return {TIFFClientOpenExt(kName, "rm", &source, &Read, &RefuseWrite, &Seek, &Close, &Size,
                            nullptr, nullptr, options.get()),
          &TIFFClose};
}

}  // namespace

bool IsTiff(std::span<const uint8_t> file) {
  if (file.size() < 8) return false;
  const auto is = [&](const char* word) { return std::memcmp(file.data(), word, 4) == 0; };
  return is("II*\0") || is("MM\0*") || is("II+\0") || is("MM\0+");
}

absl::StatusOr<ImageInfo> TiffHeader(std::span<const uint8_t> file) {
  Source source{.file = file};
  const Tiff tiff = Open(source, kTableBytes);
  if (tiff == nullptr) return Corrupt(source.error);
  uint32_t width = 0;
  uint32_t height = 0;
  uint16_t orientation = ORIENTATION_TOPLEFT;
  if (TIFFGetField(tiff.get(), TIFFTAG_IMAGEWIDTH, &width) == 0 ||
      TIFFGetField(tiff.get(), TIFFTAG_IMAGELENGTH, &height) == 0) {
    return Corrupt("its header has no sides");
  }
  TIFFGetFieldDefaulted(tiff.get(), TIFFTAG_ORIENTATION, &orientation);
  ImageInfo info;
  info.format = ImageFormat::kTiff;
  info.width = static_cast<int>(std::min<uint32_t>(width, 1 << 30));
  info.height = static_cast<int>(std::min<uint32_t>(height, 1 << 30));
  info.orientation = orientation >= 1 && orientation <= 8 ? orientation : 1;
  return info;
}

absl::StatusOr<Image> TiffDecode(std::span<const uint8_t> file, const ImageInfo& stored) {
  Source source{.file = file};
  // A strip may be the whole picture, in four channels of 16 bits.
  const auto most = kTableBytes + static_cast<tmsize_t>(NumBytes(stored, 8));
  const Tiff tiff = Open(source, most);
  if (tiff == nullptr) return Corrupt(source.error);
  char why[1024] = "";  // as long as libtiff asks for
  if (TIFFRGBAImageOK(tiff.get(), why) == 0) {
    return absl::InvalidArgumentError(absl::StrCat("TIFF of a kind that is not read: ", why));
  }
  const tmsize_t piece =
      TIFFIsTiled(tiff.get()) != 0 ? TIFFTileSize(tiff.get()) : TIFFStripSize(tiff.get());
  if (piece <= 0 || piece > most) return Corrupt("its pieces are larger than the picture");
  TIFFRGBAImage reader;
  if (TIFFRGBAImageBegin(&reader, tiff.get(), /*stop=*/1, why) == 0) return Corrupt(why);
  reader.req_orientation = reader.orientation;  // as stored; Upright() is for all formats
  std::vector<uint32_t> raster(NumBytes(stored, 1));
  const bool good = reader.width == static_cast<uint32_t>(stored.width) &&
                    reader.height == static_cast<uint32_t>(stored.height) &&
                    TIFFRGBAImageGet(&reader, raster.data(), reader.width, reader.height) != 0;
  TIFFRGBAImageEnd(&reader);
  if (!good) return Corrupt(source.error.empty() ? "cannot be decoded" : source.error);
  Image image{stored.width, stored.height, {}};
  image.pixels.reserve(NumBytes(stored, 3));
  for (const uint32_t pixel : raster) {  // colours are multiplied by alpha: on black
    image.pixels.push_back(static_cast<uint8_t>(TIFFGetR(pixel)));
    image.pixels.push_back(static_cast<uint8_t>(TIFFGetG(pixel)));
    image.pixels.push_back(static_cast<uint8_t>(TIFFGetB(pixel)));
  }
  return image;
}

}  // namespace mead::dataset
