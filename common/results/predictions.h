// What a model said about every picture of the validation split after an epoch: an artefact
// that the trainer writes and everybody else derives from (top losses, calibration,
// precision and recall).
//
// Format: safetensors, so that Python reads it without Mead:
//   "log_probabilities" F32 [N, K], "truth" I32 [N], in the manifest's order of the split;
//   metadata: "mead.predictions" ("1"), "trial", "epoch", "manifest" (the data set's digest),
//   "classes" and "keys" (JSON lists of K and N texts; a key is a picture's path in the data set).
// Thread: a value.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/scores.h"

namespace mead::results {

struct Predictions {
  std::string trial_id;
  int epoch = 0;  // from 1
  std::string manifest_digest;
  std::vector<std::string> classes;      // K, label order
  std::vector<std::string> keys;         // [N]
  std::vector<int32_t> truth;            // [N]
  std::vector<float> log_probabilities;  // [N, K]

  // A view of these vectors.
  Scores scores() const { return {log_probabilities, truth, static_cast<int>(classes.size())}; }

  // A class by name. Errors: NOT_FOUND, listing the names there are.
  [[nodiscard]] absl::StatusOr<int> ClassId(std::string_view name) const;

  std::string ToBytes() const;
  // What is returned is sound: sizes agree and class ids are in range.
  // Errors: INVALID_ARGUMENT saying what is wrong.
  [[nodiscard]] static absl::StatusOr<Predictions> FromBytes(std::string_view bytes);

  bool operator==(const Predictions&) const = default;
};

// Indices of the `count` pictures with the largest loss, largest first; of equal losses the
// earlier picture. What is not a number is larger than any.
std::vector<size_t> TopLosses(const Scores& scores, size_t count);

}  // namespace mead::results
