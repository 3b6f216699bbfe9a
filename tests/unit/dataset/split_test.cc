#include "common/dataset/split.h"

#include <gtest/gtest.h>

#include <map>

#include "common/sha256.h"

namespace mead::dataset {
namespace {

// `copies`: every so many items repeat an earlier picture; 0: none.
std::vector<SplitItem> Items(uint32_t class_id, int count, int copies = 0) {
  std::vector<SplitItem> items;
  for (int i = 0; i < count; ++i) {
    const int picture = copies > 0 ? i / copies : i;
    items.push_back({class_id, DigestOf(std::to_string(class_id) + "/" + std::to_string(picture))});
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

}  // namespace
}  // namespace mead::dataset
