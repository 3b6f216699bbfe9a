#include "common/dataset/split.h"

#include <gtest/gtest.h>

#include <map>
#include <utility>

#include "common/base/rng.h"
#include "common/sha256.h"

namespace mead::dataset {
namespace {

// `copies`: every so many items repeat an earlier picture; 0: none.
std::vector<SplitItem> Items(uint32_t class_id, int count, int copies = 0) {
  std::vector<SplitItem> items;
  for (int i = 0; i < count; ++i) {
    const int picture = copies > 0 ? i / copies : i;
    items.push_back({.class_id = class_id,
                     .digest = DigestOf(std::to_string(class_id) + "/" + std::to_string(picture))});
  }
  return items;
}

size_t ValCount(const std::vector<Split>& splits) {
  return static_cast<size_t>(std::count(splits.begin(), splits.end(), Split::kVal));
}

TEST(SplitTest, TakesTheShareOfEveryClass) {
  std::vector<SplitItem> items = Items(0, 1000);
  const std::vector<SplitItem> rare = Items(1, 10);
  items.insert(items.end(), rare.begin(), rare.end());
  const std::vector<Split> splits = StratifiedSplit(items, 0.2, 7);
  EXPECT_EQ(ValCount({splits.begin(), splits.begin() + 1000}), 200u);
  EXPECT_EQ(ValCount({splits.begin() + 1000, splits.end()}), 2u);
}

TEST(SplitTest, EveryClassOfTwoHasOneOnEachSide) {
  for (double fraction : {0.01, 0.2, 0.5, 0.99}) {
    for (int count = 2; count < 12; ++count) {
      const size_t val = ValCount(StratifiedSplit(Items(0, count), fraction, 1));
      EXPECT_GE(val, 1u) << count << " at " << fraction;
      EXPECT_LT(val, static_cast<size_t>(count)) << count << " at " << fraction;
    }
  }
  EXPECT_EQ(ValCount(StratifiedSplit(Items(0, 1), 0.5, 1)), 0u);
}

TEST(SplitTest, CopiesOfAPictureStayOnOneSide) {
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<SplitItem> items = Items(0, 60, 3);
    const std::vector<Split> splits = StratifiedSplit(items, 0.2, seed);
    std::map<std::string, Split> side;
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(side.emplace(items[i].digest, splits[i]).first->second, splits[i]);
    }
    EXPECT_EQ(ValCount(splits), 12u);
  }
}

TEST(SplitTest, APictureOfTwoClassesTrains) {
  std::vector<SplitItem> items = Items(0, 20);
  for (SplitItem item : Items(0, 5)) {
    item.class_id = 1;
    items.push_back(item);
  }
  const std::vector<SplitItem> own = Items(1, 15);
  items.insert(items.end(), own.begin(), own.end());
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<Split> splits = StratifiedSplit(items, 0.4, seed);
    for (size_t i = 0; i < 5; ++i) {
      EXPECT_EQ(splits[i], Split::kTrain);
      EXPECT_EQ(splits[20 + i], Split::kTrain);
    }
  }
}

TEST(SplitTest, DependsOnSeedAndBytesButNotOnOrder) {
  std::vector<SplitItem> items = Items(0, 200);
  const std::vector<Split> first = StratifiedSplit(items, 0.2, 1);
  EXPECT_NE(first, StratifiedSplit(items, 0.2, 2));
  std::reverse(items.begin(), items.end());
  std::vector<Split> reversed = StratifiedSplit(items, 0.2, 1);
  std::reverse(reversed.begin(), reversed.end());
  EXPECT_EQ(first, reversed);
}

// Some classes, with groups of random sizes of which some reach over classes.
std::vector<SplitItem> RandomGroups(Rng& rng) {
  std::vector<SplitItem> items;
  const auto classes = static_cast<uint32_t>(2 + rng.Below(4));
  const uint64_t max_group = 1 + rng.Below(6);
  uint32_t group = 0;
  while (items.size() < 20 + 50 * classes) {
    const uint64_t size = 1 + rng.Below(max_group);
    const auto class_id = static_cast<uint32_t>(rng.Below(classes));
    const bool mixed = rng.Below(8) == 0;
    ++group;
    for (uint64_t i = 0; i < size; ++i) {
      SplitItem item;
      item.class_id = mixed ? static_cast<uint32_t>(rng.Below(classes)) : class_id;
      item.digest = DigestOf(std::to_string(rng.NextUint64()));
      // Both kinds of groups, and sometimes both at once.
      item.groups = {rng.Below(2) == 0 || i == 0 ? group : 0, group};
      items.push_back(item);
    }
  }
  return items;
}

TEST(SplitTest, GroupsNeverStraddleAndClassesKeepTheirShares) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Rng rng(seed);
    const std::vector<SplitItem> items = RandomGroups(rng);
    const double fraction = rng.Uniform(0.1, 0.5);
    const std::vector<Split> splits = StratifiedSplit(items, fraction, seed);
    std::map<uint32_t, Split> side;
    std::map<uint32_t, std::pair<int, int>> counts;  // class: all, of them evaluated
    for (size_t i = 0; i < items.size(); ++i) {
      EXPECT_EQ(side.emplace(items[i].groups[1], splits[i]).first->second, splits[i]);
      ++counts[items[i].class_id].first;
      if (splits[i] == Split::kVal) ++counts[items[i].class_id].second;
    }
    for (const auto& [class_id, count] : counts) {
      // Half of the largest unit, and rounding; a unit of several classes may miss by more.
      EXPECT_NEAR(count.second, fraction * count.first, 3.5) << "seed " << seed;
      EXPECT_GE(count.second, 1);
      EXPECT_LT(count.second, count.first);
    }
  }
}

TEST(SplitTest, AClassOfOneLargeGroupAndOnePictureHasOneOnEachSide) {
  std::vector<SplitItem> items = Items(0, 9);
  for (SplitItem& item : items) item.groups[0] = 1;
  items[8].groups[0] = 0;
  for (uint64_t seed = 0; seed < 10; ++seed) {
    EXPECT_EQ(ValCount(StratifiedSplit(items, 0.2, seed)), 1u);
  }
  // One group has nothing to give.
  for (SplitItem& item : items) item.groups[0] = 1;
  EXPECT_EQ(ValCount(StratifiedSplit(items, 0.2, 1)), 0u);
}

TEST(SplitTest, GroupsThatShareAPictureAreOne) {
  // 0-1 by the first kind, 1-2 by the second, 2-3 by equal bytes.
  std::vector<SplitItem> items = Items(0, 40);
  items[0].groups = {1, 0};
  items[1].groups = {1, 1};
  items[2].groups = {0, 1};
  items[3].digest = items[2].digest;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const std::vector<Split> splits = StratifiedSplit(items, 0.3, seed);
    for (size_t i = 1; i < 4; ++i) EXPECT_EQ(splits[i], splits[0]);
  }
}

TEST(FoldsTest, EveryFoldHasItsShareOfEveryClass) {
  std::vector<SplitItem> items = Items(0, 103);
  for (const SplitItem& item : Items(1, 12)) items.push_back(item);
  const std::vector<uint32_t> folds = StratifiedFolds(items, 5, 3).value();
  std::map<std::pair<uint32_t, uint32_t>, int> counts;  // fold, class
  for (size_t i = 0; i < items.size(); ++i) ++counts[{folds[i], items[i].class_id}];
  for (uint32_t fold = 0; fold < 5; ++fold) {
    EXPECT_NEAR((counts[{fold, 0}]), 20.5, 0.5);
    EXPECT_NEAR((counts[{fold, 1}]), 2.5, 0.5);
  }
  EXPECT_EQ(folds, StratifiedFolds(items, 5, 3).value());
  EXPECT_NE(folds, StratifiedFolds(items, 5, 4).value());
}

TEST(FoldsTest, GroupsNeverStraddle) {
  for (uint64_t seed = 0; seed < 100; ++seed) {
    Rng rng(seed);
    const std::vector<SplitItem> items = RandomGroups(rng);
    const auto k = static_cast<uint32_t>(2 + rng.Below(5));
    const std::vector<uint32_t> folds = StratifiedFolds(items, k, seed).value();
    std::map<uint32_t, uint32_t> fold_of_group;
    std::map<uint32_t, std::vector<int>> counts;  // class: per fold
    std::map<uint32_t, int> all;
    for (size_t i = 0; i < items.size(); ++i) {
      ASSERT_LT(folds[i], k);
      EXPECT_EQ(fold_of_group.emplace(items[i].groups[1], folds[i]).first->second, folds[i]);
      counts[items[i].class_id].resize(k);
      ++counts[items[i].class_id][folds[i]];
      ++all[items[i].class_id];
    }
    for (const auto& [class_id, per_fold] : counts) {
      for (const int count : per_fold) {
        EXPECT_NEAR(count, static_cast<double>(all[class_id]) / k, 7) << "seed " << seed;
      }
    }
  }
}

TEST(FoldsTest, MoreFoldsThanGroupsAreRefused) {
  std::vector<SplitItem> items = Items(0, 6);
  EXPECT_TRUE(StratifiedFolds(items, 6, 1).ok());
  for (SplitItem& item : items) item.groups[0] = 7;
  items[0].groups[0] = 8;
  EXPECT_TRUE(StratifiedFolds(items, 2, 1).ok());
  EXPECT_EQ(StratifiedFolds(items, 3, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(StratifiedFolds(items, 1, 1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace mead::dataset
