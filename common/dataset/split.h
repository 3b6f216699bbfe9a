// Which pictures are for training and which for evaluation.
//
// Thread: pure functions.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/dataset/manifest.h"

namespace mead::dataset {

struct SplitItem {
  uint32_t class_id = 0;
  std::string digest;  // of the picture's bytes, "sha256:<64 hex>"
};

// A stratified split: of each class about `val_fraction` is evaluated, and at least one picture on
// each side where the class has two different ones. Copies of a picture stay together; one that is
// in several classes trains. The place of a picture depends on its bytes and the seed, not on names
// or order, so a renamed folder splits the same, and an added picture moves few others.
std::vector<Split> StratifiedSplit(std::span<const SplitItem> items, double val_fraction,
                                   uint64_t seed);

// A number for (picture, seed) to order pictures by: looks random, is the same everywhere.
uint64_t SeededOrder(const std::string& digest, uint64_t seed);

}  // namespace mead::dataset
