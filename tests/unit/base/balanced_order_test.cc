#include "common/base/balanced_order.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "common/base/epoch_plan.h"

namespace mead {
namespace {

// Uses of every index.
std::map<uint64_t, int> UsesOf(const std::vector<uint64_t>& order) {
  std::map<uint64_t, int> uses;
  for (const uint64_t index : order) ++uses[index];
  return uses;
}

// Uses of classes, given where each begins.
std::vector<int> PerClass(const std::vector<uint64_t>& order, const std::vector<uint64_t>& counts) {
  std::vector<int> uses(counts.size());
  for (const uint64_t index : order) {
    uint64_t label = 0;
    for (uint64_t end = counts[0]; index >= end; end += counts[++label]) {
    }
    ++uses[label];
  }
  return uses;
}

TEST(BalancedOrder, EveryClassComesEquallyOften) {
  for (const std::vector<uint64_t>& counts :
       {std::vector<uint64_t>{90, 9, 1}, {5, 5, 5}, {1, 100}, {7, 0, 3}, {3}}) {
    const std::vector<uint64_t> order = BalancedOrder(counts, 1, 1);
    uint64_t samples = 0;
    for (const uint64_t count : counts) samples += count;
    EXPECT_EQ(order.size(), samples);
    const std::vector<int> uses = PerClass(order, counts);
    const auto present = static_cast<uint64_t>(
        std::ranges::count_if(counts, [](uint64_t count) { return count > 0; }));
    for (size_t label = 0; label < counts.size(); ++label) {
      if (counts[label] == 0) {
        EXPECT_EQ(uses[label], 0);
        continue;
      }
      EXPECT_GE(static_cast<uint64_t>(uses[label]), samples / present);
      EXPECT_LE(static_cast<uint64_t>(uses[label]), samples / present + 1);
    }
  }
}

TEST(BalancedOrder, NoSampleIsRepeatedBeforeItsClassIsUsedUp) {
  const std::vector<uint64_t> counts = {90, 7, 1};
  std::map<uint64_t, int> uses = UsesOf(BalancedOrder(counts, 3, 2));
  for (uint64_t index = 0; index < 90; ++index) EXPECT_LE(uses[index], 1);
  // 98 draws are 32 or 33 of each class.
  for (uint64_t index = 90; index < 97; ++index) {
    EXPECT_GE(uses[index], 4);
    EXPECT_LE(uses[index], 5);
  }
}

TEST(BalancedOrder, SeedsAndEpochsGiveOtherDraws) {
  const std::vector<uint64_t> counts = {60, 20, 20};
  const auto order = BalancedOrder(counts, 1, 1);
  EXPECT_EQ(order, BalancedOrder(counts, 1, 1));
  EXPECT_NE(order, BalancedOrder(counts, 1, 2));
  EXPECT_NE(order, BalancedOrder(counts, 2, 1));
  EXPECT_NE(UsesOf(order), UsesOf(BalancedOrder(counts, 1, 2))) << "the same samples left out";
}

TEST(BalancedOrder, IsThePlansWithTheTurnOfEveryUse) {
  const EpochPlanOptions options{.num_samples = 12,
                                 .seed = 7,
                                 .epoch = 3,
                                 .batch_size = 5,
                                 .world_size = 2,
                                 .class_counts = {9, 2, 1}};
  const EpochPlan plan(options);
  EXPECT_TRUE(plan.balanced());
  std::vector<uint64_t> order;
  std::map<uint64_t, uint64_t> uses;
  for (uint64_t step = 0; step < plan.steps(); ++step) {
    for (uint32_t rank = 0; rank < 2; ++rank) {
      const auto slice = plan.Slice(step, rank);
      const auto turns = plan.Turns(step, rank);
      ASSERT_EQ(slice.size(), turns.size());
      for (size_t i = 0; i < slice.size(); ++i) {
        EXPECT_EQ(turns[i], uses[slice[i]]++);
        order.push_back(slice[i]);
      }
    }
  }
  EXPECT_EQ(order, BalancedOrder(options.class_counts, 7, 3));
  EpochPlanOptions all = options;
  all.class_counts.clear();
  EXPECT_NE(EpochPlan(all).Digest(), plan.Digest());
  EXPECT_TRUE(EpochPlan(all).Turns(0, 0).empty());
}

// Pinned, as the order of all samples is: see epoch_plan_test.cc.
TEST(BalancedOrder, MatchesTheReferenceImplementation) {
  EXPECT_THAT(BalancedOrder(std::vector<uint64_t>{6, 0, 3, 1}, 7, 3),
              ::testing::ElementsAre(3, 9, 8, 1, 0, 2, 9, 7, 9, 6));
}

}  // namespace
}  // namespace mead
