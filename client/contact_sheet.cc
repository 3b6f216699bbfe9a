#include "client/contact_sheet.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "client/glyphs.h"
#include "common/augment/position_box.h"
#include "common/augment/render.h"

namespace mead::client {
namespace {

constexpr int kGap = 4;  // between pictures, pixels
constexpr int kCaption = kGlyphHeight + 4;
constexpr uint8_t kGround = 32;
constexpr Rgb kInk = {220, 220, 220};

void Put(const std::vector<uint8_t>& pixels, int side, int left, int top, dataset::Image& sheet) {
  for (int y = 0; y < side; ++y) {
    std::copy_n(pixels.begin() + ptrdiff_t{3} * y * side, 3 * side,
                sheet.pixels.begin() + ptrdiff_t{3} * ((top + y) * ptrdiff_t{sheet.width} + left));
  }
}

using Pictures = std::vector<std::vector<uint8_t>>;  // each [side, side, 3]

Pictures Blank(size_t count, int side) {
  return Pictures(count, std::vector<uint8_t>(size_t{3} * static_cast<size_t>(side) *
                                              static_cast<size_t>(side)));
}

Pictures Plain(const std::vector<SheetRow>& rows, int side) {
  Pictures pictures = Blank(rows.size(), side);
  for (size_t i = 0; i < rows.size(); ++i) {
    const PictureSize size{rows[i].image.width, rows[i].image.height};
    RenderAugmented(rows[i].image.pixels.data(), size, PlainPlan(size, side), side,
                    pictures[i].data());
  }
  return pictures;
}

Pictures Augmented(const std::vector<SheetRow>& rows, const SheetOptions& options, uint64_t epoch) {
  const int side = options.image_size;
  Pictures pictures = Blank(rows.size(), side);
  for (size_t i = 0; i < rows.size(); ++i) {
    const PictureSize size{rows[i].image.width, rows[i].image.height};
    RenderAugmented(
        rows[i].image.pixels.data(), size,
        DrawAugmentation({options.seed, epoch, rows[i].sample}, options.augment, size, side), side,
        pictures[i].data());
  }
  if (!options.mix.any()) return pictures;
  BatchMix mix = PartnersOf(rows.size(), 0, rows.size());
  mix.plan = DrawMix({options.seed, epoch, /*step=*/0}, options.mix, side);
  Pictures mixed = Blank(rows.size(), side);
  for (size_t i = 0; i < rows.size(); ++i) {
    MixPictures(pictures[i].data(), pictures[static_cast<size_t>(mix.partners[i])].data(), mix.plan,
                side, mixed[i].data());
  }
  return mixed;
}

}  // namespace

absl::StatusOr<dataset::Image> DecodeForSheet(const std::string& file,
                                              const SheetOptions& options) {
  dataset::ImageDecoder decoder;
  absl::StatusOr<dataset::Image> image =
      decoder.Decode({reinterpret_cast<const uint8_t*>(file.data()), file.size()},
                     DecodeSideFor(options.augment, options.image_size));
  if (!image.ok()) return image;
  const PictureSize size =
      TreatPositionBox(options.augment.position_box, {image->width, image->height}, image->pixels);
  image->width = size.width;
  image->height = size.height;
  return image;
}

dataset::Image DrawSheet(const std::vector<SheetRow>& rows, const SheetOptions& options) {
  const int side = options.image_size;
  const int columns = 1 + options.epochs;
  dataset::Image sheet;
  sheet.width = columns * (side + kGap) + kGap;
  sheet.height = kCaption + static_cast<int>(rows.size()) * (side + kCaption + kGap);
  sheet.pixels.assign(
      size_t{3} * static_cast<size_t>(sheet.width) * static_cast<size_t>(sheet.height), kGround);
  const auto left_of = [&](int column) { return kGap + column * (side + kGap); };
  const auto top_of = [&](size_t row) {
    return 2 * kCaption + static_cast<int>(row) * (side + kCaption + kGap);
  };
  const auto epoch_of = [&](int column) {
    return options.first_epoch + static_cast<uint64_t>(column) - 1;
  };
  for (int column = 0; column < columns; ++column) {
    DrawText(column == 0 ? "as it is" : absl::StrCat("epoch ", epoch_of(column)), left_of(column),
             3, side, 1, kInk, sheet);
  }
  for (size_t row = 0; row < rows.size(); ++row) {
    DrawText(rows[row].caption, kGap, top_of(row) - kCaption + 3, sheet.width - 2 * kGap, 1, kInk,
             sheet);
  }
  for (int column = 0; column < columns; ++column) {
    const auto pictures =
        column == 0 ? Plain(rows, side) : Augmented(rows, options, epoch_of(column));
    for (size_t row = 0; row < rows.size(); ++row) {
      Put(pictures[row], side, left_of(column), top_of(row), sheet);
    }
  }
  return sheet;
}

}  // namespace mead::client
