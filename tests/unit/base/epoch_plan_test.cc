#include "common/base/epoch_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

namespace mead {
namespace {

// The global order as the ranks together see it.
std::vector<uint64_t> OrderOf(const EpochPlan& plan, uint32_t world_size) {
  std::vector<uint64_t> order;
  for (uint64_t step = 0; step < plan.steps(); ++step) {
    for (uint32_t rank = 0; rank < world_size; ++rank) {
      const auto slice = plan.Slice(step, rank);
      order.insert(order.end(), slice.begin(), slice.end());
    }
  }
  return order;
}

TEST(EpochPlan, UsesEverySampleOnceForAnySizeBatchAndNumberOfRanks) {
  for (uint64_t samples : {0, 1, 2, 3, 7, 63, 64, 65, 100, 257}) {
    for (uint64_t batch : {1, 2, 3, 8, 64, 300}) {
      for (uint32_t ranks : {1u, 2u, 3u, 4u, 8u}) {
        for (bool shuffle : {true, false}) {
          const EpochPlan plan({.num_samples = samples,
                                .seed = 3,
                                .epoch = 2,
                                .batch_size = batch,
                                .world_size = ranks,
                                .shuffle = shuffle});
          std::vector<uint64_t> used = OrderOf(plan, ranks);
          std::ranges::sort(used);
          std::vector<uint64_t> all(samples);
          std::iota(all.begin(), all.end(), uint64_t{0});
          ASSERT_EQ(used, all) << samples << " samples, batch " << batch << ", " << ranks
                               << " ranks";
        }
      }
    }
  }
}

TEST(EpochPlan, SlicesOfAStepDifferByAtMostOneAndSumToTheBatch) {
  for (uint64_t samples : {1, 5, 21, 100}) {
    for (uint32_t ranks : {1u, 3u, 4u}) {
      const EpochPlan plan({.num_samples = samples, .batch_size = 10, .world_size = ranks});
      for (uint64_t step = 0; step < plan.steps(); ++step) {
        size_t smallest = SIZE_MAX, largest = 0, sum = 0;
        for (uint32_t rank = 0; rank < ranks; ++rank) {
          const size_t size = plan.Slice(step, rank).size();
          smallest = std::min(smallest, size);
          largest = std::max(largest, size);
          sum += size;
        }
        EXPECT_LE(largest - smallest, 1u);
        EXPECT_EQ(sum, plan.BatchSize(step));
        EXPECT_EQ(sum, step + 1 < plan.steps() ? 10 : samples - 10 * step);
      }
    }
  }
}

TEST(EpochPlan, ALastBatchSmallerThanTheGangLeavesRanksEmpty) {
  const EpochPlan plan({.num_samples = 9, .batch_size = 8, .world_size = 4});
  ASSERT_EQ(plan.steps(), 2u);
  EXPECT_EQ(plan.BatchSize(1), 1u);
  EXPECT_EQ(plan.Slice(1, 0).size(), 1u);
  for (uint32_t rank : {1u, 2u, 3u}) EXPECT_TRUE(plan.Slice(1, rank).empty());
}

TEST(EpochPlan, TheGlobalOrderDoesNotDependOnTheGang) {
  const auto order = [](uint64_t batch, uint32_t ranks) {
    return OrderOf(
        EpochPlan(
            {.num_samples = 1000, .seed = 1, .epoch = 4, .batch_size = batch, .world_size = ranks}),
        ranks);
  };
  EXPECT_EQ(order(64, 1), order(64, 4));
  EXPECT_EQ(order(64, 1), order(17, 3));
}

TEST(EpochPlan, SeedsAndEpochsGiveOtherOrders) {
  const auto order = [](uint64_t seed, uint64_t epoch) {
    return OrderOf(EpochPlan({.num_samples = 100, .seed = seed, .epoch = epoch, .batch_size = 10}),
                   1);
  };
  EXPECT_EQ(order(1, 1), order(1, 1));
  EXPECT_NE(order(1, 1), order(1, 2));
  EXPECT_NE(order(1, 1), order(2, 1));
  EXPECT_NE(order(1, 2), order(2, 1));
}

TEST(EpochPlan, EvaluationKeepsTheOrderOfTheManifest) {
  const EpochPlan plan({.num_samples = 10, .batch_size = 4, .world_size = 2, .shuffle = false});
  EXPECT_THAT(plan.Slice(0, 0), ::testing::ElementsAre(0, 1));
  EXPECT_THAT(plan.Slice(0, 1), ::testing::ElementsAre(2, 3));
  EXPECT_THAT(plan.Slice(2, 0), ::testing::ElementsAre(8));
  EXPECT_THAT(plan.Slice(2, 1), ::testing::ElementsAre(9));
}

TEST(EpochPlan, DigestTellsPlansApart) {
  const EpochPlanOptions base{
      .num_samples = 100, .seed = 1, .epoch = 1, .batch_size = 10, .world_size = 2};
  const std::string digest = EpochPlan(base).Digest();
  EXPECT_THAT(digest, ::testing::MatchesRegex("[0-9a-f]{16}"));
  EXPECT_EQ(digest, EpochPlan(base).Digest());
  for (auto change : std::vector<void (*)(EpochPlanOptions&)>{
           [](EpochPlanOptions& o) { o.num_samples = 101; },
           [](EpochPlanOptions& o) { o.seed = 2; }, [](EpochPlanOptions& o) { o.epoch = 2; },
           [](EpochPlanOptions& o) { o.batch_size = 20; },
           [](EpochPlanOptions& o) { o.world_size = 1; },
           [](EpochPlanOptions& o) { o.shuffle = false; }}) {
    EpochPlanOptions other = base;
    change(other);
    EXPECT_NE(EpochPlan(other).Digest(), digest);
  }
}

// Pinned: gangs of different builds must agree, so a change here needs a new
// protocol version. Computed by an independent implementation in Python
// (tests/unit/base/epoch_plan_reference.py).
TEST(EpochPlan, MatchesTheReferenceImplementation) {
  const EpochPlan plan(
      {.num_samples = 10, .seed = 7, .epoch = 3, .batch_size = 4, .world_size = 2});
  EXPECT_THAT(OrderOf(plan, 2), ::testing::ElementsAre(7, 5, 0, 1, 6, 9, 2, 3, 8, 4));
  EXPECT_EQ(plan.Digest(), "b411ad28b4a7cd48");
}

}  // namespace
}  // namespace mead
