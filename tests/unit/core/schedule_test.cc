#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Schedule, AssignsEveryRankAtOnceWithDistinctSlots) {
  Cluster cluster;
  cluster.Register("w1", 2);
  cluster.Register("w2", 2);
  cluster.Submit("s", SpecOf(1, 3));
  const auto assigned = cluster.Of<AssignMember>();
  ASSERT_THAT(assigned, SizeIs(3));
  for (int rank = 0; rank < 3; ++rank) {
    const AssignMember& member = assigned[static_cast<size_t>(rank)];
    EXPECT_EQ(member.rank, rank);
    EXPECT_EQ(member.world_size, 3);
    EXPECT_EQ(cluster.slot(member.worker.worker_id, member.slot).state, SlotState::kReserved);
  }
}

TEST(Schedule, AGangThatDoesNotFitTakesNothing) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 2));
  EXPECT_THAT(cluster.commands, IsEmpty());
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kIdle);
  EXPECT_EQ(cluster.trial("s-0").message, "waits for 2 slots; the cluster has 1");
  EXPECT_EQ(cluster.sweep("s").message, "trial s-0: waits for 2 slots; the cluster has 1");
}

TEST(Schedule, StartsOnlyWhenEveryRankIsReady) {
  Cluster cluster;
  cluster.Register("w1", 2);
  cluster.Submit("s", SpecOf(1, 2));
  cluster.Ready("s-0", 1);
  EXPECT_THAT(cluster.commands, IsEmpty());
  EXPECT_EQ(cluster.trial("s-0").message, "1 of 2 ranks ready");
  cluster.Ready("s-0", 0);
  const auto started = cluster.Of<StartMember>();
  ASSERT_THAT(started, SizeIs(2));
  for (const StartMember& member : started) EXPECT_EQ(member.rendezvous, "10.0.0.1:1234");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kRunning);
}

TEST(Schedule, FirstComeFirstServedKeepsSlotsForALargeGang) {
  Cluster cluster;
  cluster.Register("w1", 3);
  cluster.Submit("small", SpecOf(1, 2));
  cluster.Submit("large", SpecOf(1, 3));
  cluster.Submit("later", SpecOf(1, 1));
  // One slot is idle, but the large gang came first.
  EXPECT_EQ(cluster.trial("large-0").message, "waits for 3 slots; 1 of 3 idle");
  EXPECT_EQ(cluster.trial("later-0").message, "waits for 1 slot, behind trial large-0");
  cluster.RunToSuccess("small-0", 0.5);
  EXPECT_EQ(cluster.trial("large-0").state, TrialState::kStarting);
  EXPECT_EQ(cluster.trial("later-0").state, TrialState::kQueued);
}

TEST(Schedule, AGangThatTheClusterIsTooSmallForHoldsNobodyUp) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("large", SpecOf(1, 8));
  cluster.Submit("small", SpecOf(1, 1));
  EXPECT_EQ(cluster.trial("large-0").state, TrialState::kQueued);
  EXPECT_EQ(cluster.trial("small-0").state, TrialState::kStarting);
}

TEST(Schedule, KeepsOnlySlotsThatTheWaitingGangCouldUse) {
  Cluster cluster;
  cluster.Register("gpu", 1, "a", Accelerator::kGpu);
  cluster.Register("gpu2", 1, "a", Accelerator::kGpu);
  cluster.Register("cpu", 1, "a", Accelerator::kCpu);
  SweepSpec on_gpu = SpecOf(2, 2);
  on_gpu.accelerator = Accelerator::kGpu;
  cluster.Submit("g", on_gpu);
  SweepSpec on_cpu = SpecOf(1, 1);
  on_cpu.accelerator = Accelerator::kCpu;
  cluster.Submit("c", on_cpu);
  EXPECT_EQ(cluster.trial("g-1").message, "waits for 2 gpu slots; 0 of 2 idle");
  EXPECT_EQ(cluster.trial("c-0").state, TrialState::kStarting);
}

TEST(Schedule, StoppingTheWaitingGangFreesWhatWasKeptForIt) {
  Cluster cluster;
  cluster.Register("w1", 3);
  cluster.Submit("small", SpecOf(1, 2));
  cluster.Submit("large", SpecOf(1, 3));
  cluster.Submit("later", SpecOf(1, 1));
  cluster.Do(SweepStopRequested{"large"});
  EXPECT_EQ(cluster.trial("later-0").state, TrialState::kStarting);
}

TEST(Schedule, ProposesOnlyAsManyTrialsAsMayRunAtOnce) {
  Cluster cluster;
  cluster.Register("w1", 8);
  SweepSpec spec = SpecOf(5, 1);
  spec.parallel = 2;
  cluster.Submit("s", spec);
  EXPECT_THAT(cluster.sweep("s").trial_ids, SizeIs(2));
  EXPECT_EQ(cluster.sweep("s").total_trials, 5);
  cluster.RunToSuccess("s-1", 0.5);
  EXPECT_THAT(cluster.sweep("s").trial_ids, SizeIs(3));
  EXPECT_EQ(cluster.trial("s-2").state, TrialState::kStarting);
}

TEST(Schedule, TheSearchDoesNotDependOnTheOrderInWhichTrialsEnd) {
  const auto params = [](bool backwards) {
    Cluster cluster;
    cluster.Register("w1", 8);
    SweepSpec spec = SpecOf(4, 1);
    spec.parallel = 2;
    cluster.Submit("s", spec);
    cluster.RunToSuccess(backwards ? "s-1" : "s-0", 0.5);
    cluster.RunToSuccess(backwards ? "s-0" : "s-1", 0.5);
    std::vector<std::vector<Param>> all;
    for (const auto& [id, trial] : cluster.state.trials) all.push_back(trial.params);
    return all;
  };
  EXPECT_EQ(params(false), params(true));
}

}  // namespace
}  // namespace mead::core
