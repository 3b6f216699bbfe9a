// Finds the groups of pictures that show the same, which a split must not tear apart.
//
// Two stages. Candidates: 256 signs of random projections of each picture's coarse detail; the
// pictures are sorted by many orders of these bits, and each meets its next neighbours in every
// order. n pictures thus cost O(n log n) whatever they look like. Judgement: Similarity() of the
// candidates' thumbnails. Groups are the connected components.
//
// What is not found: a view that moved by more than about a tenth of the picture, mirrored or
// rotated copies, and copies of pictures without detail (black frames), which are the same only if
// their files are: nothing in them says that they show one scene, and all together they would make
// one large group.
// Source: Charikar, Similarity Estimation Techniques from Rounding Algorithms, STOC 2002 (the bits,
//   and searching in sorted permutations of them).
// Thread: blocks; call it from any thread. The callback runs on the calling thread.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "common/dataset/build.h"
#include "common/dataset/thumbnail.h"

namespace mead::dataset {

struct Look {
  Thumbnail thumbnail;
  std::string digest;  // of the file; equal ones are one picture
};

// A number per picture: 0 for those that are alone, else their group's, counted from 1 in the order
// of first members. Depends neither on threads (0: one per core, at most 8) nor, but for the
// numbering, on the order of the pictures. Progress counts orders ("compare").
std::vector<uint32_t> GroupNearDuplicates(std::span<const Look> looks, int threads,
                                          const Progress& progress);

}  // namespace mead::dataset
