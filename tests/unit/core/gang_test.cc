#include "coordinator/core/gang.h"

#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::ElementsAre;
using ::testing::Optional;

std::vector<SlotRef> AllSlots(const Cluster& cluster) {
  std::vector<SlotRef> slots;
  for (const auto& [id, worker] : cluster.state.workers) {
    for (size_t i = 0; i < worker.slots.size(); ++i) slots.push_back({id, static_cast<int>(i)});
  }
  return slots;
}

TEST(Gang, TakesTheTightestWorkerThatHoldsAllRanks) {
  Cluster cluster;
  cluster.Register("large", 4);
  cluster.Register("right", 2);
  cluster.Register("small", 1);
  EXPECT_THAT(PlaceGang(cluster.state, AllSlots(cluster), 2, Accelerator::kAny),
              Optional(ElementsAre(SlotRef{"right", 0}, SlotRef{"right", 1})));
}

TEST(Gang, SpreadsOverAsFewWorkersAsPossible) {
  Cluster cluster;
  cluster.Register("a", 1);
  cluster.Register("b", 2);
  cluster.Register("c", 3);
  EXPECT_THAT(PlaceGang(cluster.state, AllSlots(cluster), 5, Accelerator::kAny),
              Optional(ElementsAre(SlotRef{"c", 0}, SlotRef{"c", 1}, SlotRef{"c", 2},
                                   SlotRef{"b", 0}, SlotRef{"b", 1})));
}

TEST(Gang, IsAllOrNothing) {
  Cluster cluster;
  cluster.Register("a", 3);
  EXPECT_EQ(PlaceGang(cluster.state, AllSlots(cluster), 4, Accelerator::kAny), std::nullopt);
}

TEST(Gang, NeverMixesAcceleratorsAndPrefersGpus) {
  Cluster cluster;
  cluster.Register("cpu", 2, "a", Accelerator::kCpu);
  cluster.Register("gpu", 2, "a", Accelerator::kGpu);
  const auto all = AllSlots(cluster);
  EXPECT_THAT(PlaceGang(cluster.state, all, 1, Accelerator::kAny),
              Optional(ElementsAre(SlotRef{"gpu", 0})));
  EXPECT_THAT(PlaceGang(cluster.state, all, 1, Accelerator::kCpu),
              Optional(ElementsAre(SlotRef{"cpu", 0})));
  EXPECT_EQ(PlaceGang(cluster.state, all, 3, Accelerator::kAny), std::nullopt);
  EXPECT_EQ(SlotsFor(cluster.state, Accelerator::kAny), 2);
}

TEST(Gang, CountsOnlyLivingWorkers) {
  Cluster cluster;
  cluster.Register("a", 2);
  const WorkerRef b = cluster.Register("b", 3);
  EXPECT_EQ(SlotsFor(cluster.state, Accelerator::kCpu), 5);
  EXPECT_EQ(SlotsFor(cluster.state, Accelerator::kGpu), 0);
  cluster.Do(WorkerLost{b, "gone"});
  EXPECT_EQ(SlotsFor(cluster.state, Accelerator::kAny), 2);
}

}  // namespace
}  // namespace mead::core
