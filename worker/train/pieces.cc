#include "worker/train/pieces.h"

#include <algorithm>

namespace mead::train {
namespace {

// The first n % parts parts take one more.
Piece Part(int64_t n, int64_t parts, int64_t index) {
  const int64_t share = n / parts;
  const int64_t extra = n % parts;
  return {.begin = index * share + std::min(index, extra),
          .count = share + (index < extra ? 1 : 0)};
}

}  // namespace

std::vector<Piece> SplitEvenly(int64_t n, int64_t largest) {
  const int64_t parts = largest > 0 ? std::max<int64_t>((n + largest - 1) / largest, 1) : 1;
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < parts; ++i) pieces.push_back(Part(n, parts, i));
  return pieces;
}

std::vector<Piece> SplitVirtually(int64_t global_n, int virtual_ranks, int rank, int world_size) {
  const int64_t mine = virtual_ranks / world_size;
  std::vector<Piece> pieces;
  for (int64_t i = 0; i < mine; ++i) {
    pieces.push_back(Part(global_n, virtual_ranks, rank * mine + i));
  }
  const int64_t first = pieces.front().begin;
  for (Piece& piece : pieces) piece.begin -= first;
  return pieces;
}

}  // namespace mead::train
