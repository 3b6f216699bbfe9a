// Which pictures are for training and which for evaluation, or in which fold.
//
// What must not be torn apart, copies of a picture and those of one group (near-duplicates, one
// patient), is a unit and goes to one side as a whole. The place of a unit depends on its bytes and
// the seed, not on names or order, so a renamed folder splits the same, and an added picture moves
// few others.
// Thread: pure functions.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

struct SplitItem {
  uint32_t class_id = 0;
  std::string digest;  // of the picture's bytes, "sha256:<64 hex>"
  // Items that have the same number in the same place stay together; 0: no group. Two places, for
  // two kinds of groups: what shows the same, and what the path names.
  std::array<uint32_t, 2> groups{};
};

// Samples as items: what shows the same stays together, and, where `group_by` is not empty, what
// that names (group_by.h).
// Errors: those of GroupByPattern.
[[nodiscard]] absl::StatusOr<std::vector<SplitItem>> SplitItemsOf(
    std::span<const Sample* const> samples, const std::string& group_by);

// A stratified split: of each class about `val_fraction` is evaluated, as close to it as whole
// units allow, and at least one picture on each side where the class has two units. A unit with one
// picture in several classes trains.
std::vector<Split> StratifiedSplit(std::span<const SplitItem> items, double val_fraction,
                                   uint64_t seed);

// A fold in [0, folds) for each item, so that every class is spread over the folds as evenly as
// whole units allow (of units of one picture, to within one picture).
// Errors: INVALID_ARGUMENT for fewer than two folds, or fewer units than folds.
[[nodiscard]] absl::StatusOr<std::vector<uint32_t>> StratifiedFolds(
    std::span<const SplitItem> items, uint32_t folds, uint64_t seed);

// A number for (picture, seed) to order pictures by: looks random, is the same everywhere.
uint64_t SeededOrder(const std::string& digest, uint64_t seed);

}  // namespace mead::dataset
