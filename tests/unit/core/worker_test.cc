#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// Two workers of one slot each, and a trial over both.
struct TwoWorkers : Cluster {
  TwoWorkers() {
    first = Register("w1", 1);
    second = Register("w2", 1);
    Submit("s", SpecOf(1, 2));
  }
  HeldMember Held(int rank, bool ended = false) { return {Ref("s-0"), rank, 0, ended}; }
  WorkerRef first, second;
};

TEST(Worker, ALostWorkerDrainsTheWholeGang) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  cluster.Do(WorkerLost{cluster.first, "no heartbeat for 4 s"});
  EXPECT_THAT(cluster.Of<FenceWorker>(),
              ElementsAre(FenceWorker{cluster.first, "no heartbeat for 4 s"}));
  const auto aborted = cluster.Of<AbortMember>();
  ASSERT_THAT(aborted, SizeIs(1));  // nothing is sent to the lost worker
  EXPECT_EQ(aborted[0].worker, cluster.second);
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kLost);
  EXPECT_EQ(cluster.slot("w2", 0).state, SlotState::kDraining);
  cluster.ExitAborted("s-0", 1);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kQueued);
  EXPECT_EQ(cluster.trial("s-0").failure_message, "worker w1 was lost: no heartbeat for 4 s");
}

TEST(Worker, ALostWorkerWithEveryRankEndsTheAttemptAtOnce) {
  Cluster cluster;
  const WorkerRef worker = cluster.Register("w1", 2);
  cluster.Submit("s", SpecOf(1, 2));
  cluster.Do(WorkerLost{worker, "gone"});
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kQueued);
  EXPECT_THAT(cluster.Of<AbortMember>(), IsEmpty());
  cluster.PassNextDeadline();
  EXPECT_EQ(cluster.trial("s-0").message, "waits for 2 slots; the cluster has 0");
}

TEST(Worker, ALossIsOnlyBelievedOfTheCurrentIncarnation) {
  TwoWorkers cluster;
  cluster.Do(WorkerLost{cluster.first, "gone"});
  const WorkerRef again = cluster.Register("w1", 1, "b");
  EXPECT_GT(again.incarnation, cluster.first.incarnation);
  cluster.Do(WorkerLost{cluster.first, "gone, says a late message"});
  EXPECT_FALSE(cluster.state.workers.at("w1").lost);
}

TEST(Worker, ANewProcessOfTheSameNameTakesOver) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  const WorkerRef newer = cluster.Register("w1", 1, "b");
  EXPECT_NE(newer, cluster.first);
  EXPECT_THAT(cluster.Of<FenceWorker>(),
              ElementsAre(FenceWorker{cluster.first, "a newer process has taken its name"}));
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kIdle);
  EXPECT_THAT(cluster.trial("s-0").failure_message, HasSubstr("worker w1 was lost"));
}

TEST(Worker, MembersHeldThroughAReconnectGoOn) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  EXPECT_EQ(cluster.Register("w1", 1, "a", Accelerator::kCpu, {cluster.Held(0)}), cluster.first);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kRunning);
  // The first Go may have been lost.
  EXPECT_THAT(cluster.commands,
              ElementsAre(StartMember{cluster.first, cluster.Ref("s-0"), 0, "10.0.0.1:1234"}));
}

TEST(Worker, AMemberThatIsStillGettingReadyIsNotStartedByAReconnect) {
  TwoWorkers cluster;
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {cluster.Held(0)});
  EXPECT_THAT(cluster.commands, IsEmpty());
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStarting);
}

TEST(Worker, AnAssignThatWasLostIsRepeatedAfterAReconnect) {
  TwoWorkers cluster;
  const auto assigned = cluster.Of<AssignMember>();
  ASSERT_THAT(assigned, SizeIs(2));
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {});
  EXPECT_THAT(cluster.commands, ElementsAre(assigned[0]));
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStarting);
}

TEST(Worker, AMemberThatWasReadyAndThatItsWorkerNoLongerKnowsIsLost) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {});
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopping);
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kIdle);
  EXPECT_EQ(cluster.slot("w2", 0).state, SlotState::kDraining);
  EXPECT_EQ(cluster.trial("s-0").failure_message,
            "worker w1 reconnected without the member that it was given");
}

TEST(Worker, AMemberThatEndedWhileNobodyListenedIsNotLost) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  cluster.Exit("s-0", 1);
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {cluster.Held(0, /*ended=*/true)});
  EXPECT_THAT(cluster.commands, IsEmpty());
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kRunning);
  cluster.Exit("s-0", 0);  // the report that follows
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kSucceeded);
  EXPECT_EQ(cluster.trial("s-0").attempt, 1);
}

TEST(Worker, AnAbortIsRepeatedAfterAReconnect) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  cluster.Do(TrialStopRequested{"s-0"});
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {cluster.Held(0)});
  const auto aborted = cluster.Of<AbortMember>();
  ASSERT_THAT(aborted, SizeIs(1));
  EXPECT_EQ(aborted[0].worker, cluster.first);
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kDraining);
}

TEST(Worker, ADrainingSlotIsFreeOnceItsWorkerNoLongerHoldsTheMember) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  cluster.Do(TrialStopRequested{"s-0"});
  cluster.ExitAborted("s-0", 1);
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {});
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kIdle);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopped);
}

TEST(Worker, AProcessOfAnAttemptThatIsOverKeepsItsSlotUntilItHasEnded) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  const TrialRef old = cluster.Ref("s-0");
  cluster.Do(WorkerLost{cluster.first, "gone"});
  cluster.ExitAborted("s-0", 1);
  // The partition is over: the same process, with its trainer still running.
  const WorkerRef again =
      cluster.Register("w1", 1, "a", Accelerator::kCpu, {{old, 0, 0, /*ended=*/false}});
  EXPECT_NE(again, cluster.first);
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kDraining);
  EXPECT_THAT(cluster.commands, ElementsAre(AbortMember{again, old, 0, "its attempt has ended"}));
  cluster.PassNextDeadline();
  EXPECT_EQ(cluster.trial("s-0").message, "waits for 2 slots; 1 of 2 idle");
  cluster.Do(MemberExited{again, old, 0, false, FailureKind::kNone, "ended by SIGTERM"});
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStarting);
}

TEST(Worker, ACoordinatorThatRestartsInMidSweepCostsNoAttempt) {
  TwoWorkers cluster;
  cluster.AllReady("s-0");
  cluster.Report("s-0", 1, 0.5);
  ClusterState replayed;
  for (const Event& event : cluster.journal) (void)Step(replayed, event);
  ASSERT_EQ(replayed, cluster.state);
  EXPECT_EQ(DebugString(replayed), DebugString(cluster.state));
  cluster.state = replayed;
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {cluster.Held(0)});
  cluster.Register("w2", 1, "a", Accelerator::kCpu, {cluster.Held(1)});
  cluster.Report("s-0", 2, 0.75);
  cluster.Exit("s-0", 0);
  cluster.Exit("s-0", 1);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kSucceeded);
  EXPECT_EQ(cluster.trial("s-0").attempt, 1);
  EXPECT_EQ(cluster.trial("s-0").best_epoch, 2);
}

TEST(Worker, LostWorkersAreForgottenInTheEnd) {
  Cluster cluster;
  for (int i = 0; i < 200; ++i) {
    const WorkerRef worker = cluster.Register("node-" + std::to_string(i), 1);
    cluster.Advance(kSecond);
    cluster.Do(WorkerLost{worker, "preempted"});
  }
  EXPECT_LE(cluster.state.workers.size(), 65u);
  EXPECT_TRUE(cluster.state.workers.contains("node-199"));
  EXPECT_FALSE(cluster.state.workers.contains("node-0"));
}

TEST(Worker, TimeNeverGoesBack) {
  Cluster cluster;
  cluster.Advance(-50 * kSecond);
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 1));
  EXPECT_EQ(cluster.state.last_event_time, 100 * kSecond);
  EXPECT_EQ(cluster.sweep("s").create_time, 100 * kSecond);
}

}  // namespace
}  // namespace mead::core
