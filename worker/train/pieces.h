// How a rank's part of a batch is divided into forward passes: pure.
#pragma once

#include <cstdint>
#include <vector>

namespace mead::train {

// A run of pictures of this rank's part.
struct Piece {
  int64_t begin = 0;
  int64_t count = 0;  // may be 0 with virtual ranks
};

// Equal pieces (sizes differ by at most 1) of at most `largest` pictures; largest
// 0: one piece. n pictures give at least one piece, which may be empty.
std::vector<Piece> SplitEvenly(int64_t n, int64_t largest);

// The pieces of this rank's virtual ranks, in their order: the global batch is
// dealt out as EpochPlan deals it to virtual_ranks ranks, and each rank has as
// many of them, next to each other. virtual_ranks: a multiple of world_size.
std::vector<Piece> SplitVirtually(int64_t global_n, int virtual_ranks, int rank, int world_size);

}  // namespace mead::train
