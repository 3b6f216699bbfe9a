// A sheet of pictures as a trainer sees them: each row one picture, as it is and augmented for
// some epochs, by the same decoder, plan and renderer.
//
// Thread: pure.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/augment/augment_plan.h"
#include "common/augment/mix.h"
#include "common/dataset/image.h"

namespace mead::client {

struct SheetOptions {
  AugmentOptions augment;
  MixOptions mix;            // the rows are one batch, that of each epoch's first step
  int image_size = 224;      // side of each picture, pixels
  uint64_t seed = 1;         // train.seed
  uint64_t first_epoch = 1;  // of the first augmented column
  int epochs = 7;            // augmented columns
};

struct SheetRow {
  uint64_t sample = 0;   // the index within the training split, which keys what is drawn
  std::string caption;   // above it
  dataset::Image image;  // decoded by DecodeForSheet
};

// As a trainer's loader decodes it: at the scale that the augmentation needs, and with the
// position box treated.
// Errors: INVALID_ARGUMENT, what is wrong with the file.
[[nodiscard]] absl::StatusOr<dataset::Image> DecodeForSheet(const std::string& file,
                                                            const SheetOptions& options);

dataset::Image DrawSheet(const std::vector<SheetRow>& rows, const SheetOptions& options);

}  // namespace mead::client
