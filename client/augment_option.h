// What `dataset show` is to show of a sweep: its augmentation, in the sweep file's words.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "common/augment/augment_plan.h"
#include "common/augment/mix.h"

namespace mead::client {

struct ShownTraining {
  AugmentOptions augment;
  MixOptions mix;
  int image_size = 224;
  uint64_t seed = 1;
};

// augment: "rotate=180,flip=both,crop_scale=[0.7,1]", the keys of train.augment; it replaces what
// the sweep file says. sweep: a file; either may be empty, and absent keys get the defaults.
// Errors: INVALID_ARGUMENT with all that is wrong, at its place; NOT_FOUND for the file.
[[nodiscard]] absl::StatusOr<ShownTraining> ReadShownTraining(const std::string& augment,
                                                              const std::string& sweep);

}  // namespace mead::client
