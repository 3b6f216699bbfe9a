// What a manifest tells about leakage: pictures that show the same, and on which side they are.
//
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "common/dataset/manifest.h"

namespace mead::dataset {

// Pictures that show the same.
struct PictureGroup {
  std::vector<uint32_t> samples;  // indices into Manifest::samples, by key; two or more
  uint64_t train = 0;             // how many of them are for training
  uint64_t val = 0;
  bool straddles() const { return train > 0 && val > 0; }
};

// Those that straddle the split first, then the largest, then by their first keys.
std::vector<PictureGroup> PictureGroups(const Manifest& manifest);

// Equal files in different classes, as pairs of indices into Manifest::samples: the first of each
// such picture, by key, and the first in each other class.
std::vector<std::pair<uint32_t, uint32_t>> LabelConflicts(const Manifest& manifest);

// Makes Sample::group canonical: counted from 1 in the order of the samples, 0 for what is alone.
void NumberGroups(Manifest& manifest);

}  // namespace mead::dataset
