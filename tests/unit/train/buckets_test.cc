#include "worker/train/comm/buckets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "common/base/rng.h"

namespace mead::train {
namespace {

TEST(Buckets, HoldParametersInReverseOrder) {
  const std::vector<int64_t> sizes = {100, 50, 30, 20};
  const std::vector<Bucket> buckets = PlanBuckets(sizes, 64, 160);
  std::vector<size_t> order;
  for (const Bucket& bucket : buckets) {
    for (const BucketSlot& slot : bucket.slots) order.push_back(slot.parameter);
  }
  EXPECT_EQ(order, (std::vector<size_t>{3, 2, 1, 0}));
}

TEST(Buckets, FirstBucketIsSmallSoThatTheNetworkStartsEarly) {
  const std::vector<int64_t> sizes(10, 16);
  const std::vector<Bucket> buckets = PlanBuckets(sizes, 32, 64);
  ASSERT_EQ(buckets.size(), 3u);
  EXPECT_EQ(buckets[0].slots.size(), 2u);
  EXPECT_EQ(buckets[1].slots.size(), 4u);
  EXPECT_EQ(buckets[2].slots.size(), 4u);
}

TEST(Buckets, ParameterLargerThanTheLimitHasItsOwn) {
  const std::vector<int64_t> sizes = {8, 1000, 8};
  const std::vector<Bucket> buckets = PlanBuckets(sizes, 32, 32);
  ASSERT_EQ(buckets.size(), 3u);
  EXPECT_EQ(buckets[1].slots.size(), 1u);
  EXPECT_EQ(buckets[1].slots[0].size, 1000);
}

TEST(Buckets, SlotsNeverOverlapAndStartAtCacheLines) {
  Rng rng(5);
  for (int round = 0; round < 200; ++round) {
    std::vector<int64_t> sizes(1 + rng.Below(60));
    for (int64_t& size : sizes) size = 1 + static_cast<int64_t>(rng.Below(5000));
    const int64_t limit = 1 + static_cast<int64_t>(rng.Below(20000));
    std::vector<int> seen(sizes.size());
    for (const Bucket& bucket : PlanBuckets(sizes, limit / 8 + 1, limit)) {
      int64_t end = 0;
      for (const BucketSlot& slot : bucket.slots) {
        EXPECT_GE(slot.offset, end);
        EXPECT_EQ(slot.offset % 16, 0);
        EXPECT_EQ(slot.size, sizes[slot.parameter]);
        end = slot.offset + slot.size;
        ++seen[slot.parameter];
      }
      EXPECT_LE(end, bucket.size);
      EXPECT_TRUE(bucket.size <= limit || bucket.slots.size() == 1);
    }
    EXPECT_TRUE(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
  }
}

}  // namespace
}  // namespace mead::train
