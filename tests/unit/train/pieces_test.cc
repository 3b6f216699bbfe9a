#include "worker/train/pieces.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <span>
#include <string>

#include "common/base/epoch_plan.h"

namespace mead::train {
namespace {

int64_t Total(const std::vector<Piece>& pieces) {
  return std::accumulate(pieces.begin(), pieces.end(), int64_t{0},
                         [](int64_t sum, const Piece& piece) { return sum + piece.count; });
}

void ExpectEachBeginsWhereTheLastEnds(const std::vector<Piece>& pieces) {
  int64_t next = 0;
  for (const Piece& piece : pieces) {
    EXPECT_EQ(piece.begin, next);
    EXPECT_GE(piece.count, 0);
    next += piece.count;
  }
}

TEST(SplitEvenly, PiecesCoverThePartAndDifferByAtMostOne) {
  for (int64_t n = 0; n <= 40; ++n) {
    for (int64_t largest = 0; largest <= n + 2; ++largest) {
      SCOPED_TRACE(std::to_string(n) + " by " + std::to_string(largest));
      const std::vector<Piece> pieces = SplitEvenly(n, largest);
      ASSERT_FALSE(pieces.empty());
      EXPECT_EQ(Total(pieces), n);
      ExpectEachBeginsWhereTheLastEnds(pieces);
      const auto [smallest, most] =
          std::minmax_element(pieces.begin(), pieces.end(),
                              [](const Piece& a, const Piece& b) { return a.count < b.count; });
      EXPECT_LE(most->count - smallest->count, 1);
    }
  }
}

TEST(SplitEvenly, TheFewestPiecesThatFitAreMade) {
  for (int64_t n = 1; n <= 40; ++n) {
    for (int64_t largest = 1; largest <= n; ++largest) {
      const std::vector<Piece> pieces = SplitEvenly(n, largest);
      for (const Piece& piece : pieces) EXPECT_LE(piece.count, largest);
      EXPECT_GT(n, (static_cast<int64_t>(pieces.size()) - 1) * largest);
    }
    EXPECT_EQ(SplitEvenly(n, 0).size(), 1);
  }
}

TEST(SplitEvenly, NothingIsOneEmptyPiece) {
  for (const int64_t largest : {0, 1, 8}) {
    const std::vector<Piece> pieces = SplitEvenly(0, largest);
    ASSERT_EQ(pieces.size(), 1);
    EXPECT_EQ(pieces[0].count, 0);
  }
}

EpochPlan Plan(int64_t n, int ranks) {
  return EpochPlan({.num_samples = static_cast<uint64_t>(n),
                    .seed = 5,
                    .batch_size = static_cast<uint64_t>(n),
                    .world_size = static_cast<uint32_t>(ranks)});
}

TEST(SplitVirtually, PiecesAreThePlansSlicesOnOneTwoAndFourRanks) {
  for (const int virtual_ranks : {1, 2, 4, 8}) {
    for (const int world_size : {1, 2, 4}) {
      if (virtual_ranks % world_size != 0) continue;
      for (int64_t n = 1; n <= 40; ++n) {
        SCOPED_TRACE(std::to_string(n) + " to " + std::to_string(virtual_ranks) + " on " +
                     std::to_string(world_size));
        const EpochPlan plan = Plan(n, virtual_ranks);
        int64_t total = 0;
        uint32_t virtual_rank = 0;
        for (int rank = 0; rank < world_size; ++rank) {
          const std::vector<Piece> pieces = SplitVirtually(n, virtual_ranks, rank, world_size);
          ASSERT_EQ(pieces.size(), static_cast<size_t>(virtual_ranks / world_size));
          ExpectEachBeginsWhereTheLastEnds(pieces);
          // What the rank loads: its virtual ranks' slices, one after another.
          std::vector<uint64_t> part;
          const uint32_t first = virtual_rank;
          for (size_t i = 0; i < pieces.size(); ++i) {
            const std::span<const uint64_t> slice = plan.Slice(0, first + static_cast<uint32_t>(i));
            part.insert(part.end(), slice.begin(), slice.end());
          }
          for (const Piece& piece : pieces) {
            const std::span<const uint64_t> slice = plan.Slice(0, virtual_rank++);
            ASSERT_LE(static_cast<size_t>(piece.begin + piece.count), part.size());
            const auto mine = std::span(part).subspan(static_cast<size_t>(piece.begin),
                                                      static_cast<size_t>(piece.count));
            EXPECT_TRUE(std::ranges::equal(mine, slice));
          }
          total += Total(pieces);
        }
        EXPECT_EQ(total, n);
      }
    }
  }
}

TEST(SplitVirtually, AGangOfAnySizeComputesTheSamePieces) {
  for (int64_t n = 0; n <= 40; ++n) {
    const std::vector<Piece> alone = SplitVirtually(n, 8, 0, 1);
    for (const int world_size : {2, 4, 8}) {
      std::vector<int64_t> counts;
      for (int rank = 0; rank < world_size; ++rank) {
        for (const Piece& piece : SplitVirtually(n, 8, rank, world_size)) {
          counts.push_back(piece.count);
        }
      }
      ASSERT_EQ(counts.size(), alone.size());
      for (size_t i = 0; i < counts.size(); ++i) EXPECT_EQ(counts[i], alone[i].count);
    }
  }
}

}  // namespace
}  // namespace mead::train
