// A data set divided into folds: what a fold's trial trains on and what it is evaluated on.
//
// A split that was made here is divided anew, all pictures of it. Where folders gave the split, its
// training pictures alone are divided, and the given test set is in no fold: it is for the one
// model that is chosen. Near-duplicates, and what the paths group, stay together as in the split.
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

inline constexpr uint32_t kMinFolds = 2;
inline constexpr uint32_t kMaxFolds = 20;

// In no fold.
inline constexpr uint32_t kNoFold = UINT32_MAX;

// [manifest.samples], from 0. The same division for the same pictures, folds and seed.
// Errors: INVALID_ARGUMENT (folds out of range; fewer pictures, or groups of them, than folds).
[[nodiscard]] absl::StatusOr<std::vector<uint32_t>> FoldsOfSamples(const Manifest& manifest,
                                                                   uint32_t folds, uint64_t seed);

// The manifest as `fold` (from 0) sees it: its pictures are evaluated, those of the other folds
// train, and what is in no fold is left out. Shards stay: they hold pictures of both splits then.
// Errors: as FoldsOfSamples; INVALID_ARGUMENT (no such fold).
[[nodiscard]] absl::StatusOr<Manifest> ManifestOfFold(Manifest manifest, uint32_t fold,
                                                      uint32_t folds, uint64_t seed);

// Names one fold of a data set, for what is kept of it: "sha256:<64 hex>".
std::string FoldDigest(std::string_view manifest_digest, uint32_t fold, uint32_t folds,
                       uint64_t seed);

}  // namespace mead::dataset
