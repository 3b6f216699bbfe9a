#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

// A trial trains on two workers of one slot each.
struct Gang : Cluster {
  Gang() {
    first = Register("w1", 1);
    second = Register("w2", 1);
    SweepSpec spec = SpecOf(1, 2);
    spec.retry = {};  // no restart is left for anything
    spec.retry.infrastructure = 0;
    Submit("s", spec);
    AllReady("s-0");
  }
  void Preempt(int rank, bool yielded) {
    Do(MemberExited{.worker = trial("s-0").gang.at(static_cast<size_t>(rank)).worker,
                    .trial = Ref("s-0"),
                    .rank = rank,
                    .kind = FailureKind::kPreempted,
                    .message = "asked to end",
                    .yielded = yielded});
  }
  WorkerRef first, second;
};

TEST(Preemption, AGangThatYieldsIsLeftAloneAndGoesOnFromItsLastCheckpoint) {
  Gang cluster;
  cluster.Do(WorkerDraining{cluster.first});
  cluster.Preempt(1, /*yielded=*/true);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopping);
  EXPECT_THAT(cluster.Of<AbortMember>(), IsEmpty()) << "rank 0 still stores its checkpoint";
  cluster.Save("s-0", 1, 17);
  cluster.Preempt(0, /*yielded=*/true);
  const Trial& trial = cluster.trial("s-0");
  EXPECT_EQ(trial.state, TrialState::kQueued) << "the cluster has one slot left";
  EXPECT_EQ(trial.preemptions, 1);
  EXPECT_EQ(trial.infrastructure_retries, 0) << "nobody is to blame";

  cluster.Register("w3", 1);
  const auto assigned = cluster.Of<AssignMember>();
  ASSERT_THAT(assigned, SizeIs(2)) << "at once: there is nothing to wait for";
  EXPECT_EQ(assigned[0].resume_epoch, 1);
  EXPECT_EQ(assigned[0].resume_step, 17);
  EXPECT_THAT(cluster.trial("s-0").message, HasSubstr("after: rank 1 on w2: asked to end"));
}

TEST(Preemption, SaysWhereItGoesOn) {
  Gang cluster;
  cluster.Do(WorkerDraining{cluster.first});
  cluster.Save("s-0", 1, 17);
  cluster.Preempt(0, /*yielded=*/true);
  // The message of a queued trial is written anew by whoever schedules; the slots are too few.
  cluster.Preempt(1, /*yielded=*/true);
  EXPECT_EQ(cluster.trial("s-0").message, "waits for 2 slots; the cluster has 1");
  EXPECT_EQ(cluster.trial("s-0").failure_message, "rank 0 on w1: asked to end");
}

TEST(Preemption, ADrainingWorkerGetsNothingNewUntilItsNextProcess) {
  Cluster cluster;
  const WorkerRef worker = cluster.Register("w1", 1);
  cluster.Do(WorkerDraining{worker});
  cluster.Submit("s", SpecOf(1, 1));
  EXPECT_THAT(cluster.Of<AssignMember>(), IsEmpty());
  EXPECT_EQ(cluster.trial("s-0").message, "waits for 1 slot; the cluster has 0");
  cluster.Register("w1", 1);  // the same process, over another stream
  EXPECT_THAT(cluster.Of<AssignMember>(), IsEmpty());
  cluster.Register("w1", 1, "b");
  EXPECT_THAT(cluster.Of<AssignMember>(), SizeIs(1));
}

TEST(Preemption, AGangThatDoesNotEndIsEndedAfterAMinute) {
  Gang cluster;
  cluster.Preempt(1, /*yielded=*/true);
  ASSERT_EQ(NextDeadline(cluster.state), cluster.now + 60 * kSecond);
  cluster.PassNextDeadline();
  const auto aborted = cluster.Of<AbortMember>();
  ASSERT_THAT(aborted, SizeIs(1));
  EXPECT_EQ(aborted[0].rank, 0);
  EXPECT_EQ(aborted[0].reason, "it has not ended by itself within 1 min");
  cluster.ExitAborted("s-0", 0);
  EXPECT_EQ(cluster.trial("s-0").preemptions, 1);
}

TEST(Preemption, AReconnectLeavesAYieldingMemberAlone) {
  Gang cluster;
  cluster.Preempt(1, /*yielded=*/true);
  cluster.Register("w1", 1, "a", Accelerator::kCpu, {{cluster.Ref("s-0"), 0, 0, false}});
  EXPECT_THAT(cluster.Of<AbortMember>(), IsEmpty());
}

TEST(Preemption, AStopEndsAYieldingGangAtOnce) {
  Gang cluster;
  cluster.Preempt(1, /*yielded=*/true);
  cluster.Do(TrialStopRequested{"s-0"});
  EXPECT_THAT(cluster.Of<AbortMember>(), SizeIs(1));
  cluster.ExitAborted("s-0", 0);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopped);
}

// Its grace was too short, or it had not begun to train: the others know nothing of it.
TEST(Preemption, ARankThatEndsAloneEndsTheOthersAndCostsNoRestart) {
  Gang cluster;
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "rank 1 closed its connection");
  EXPECT_THAT(cluster.Of<AbortMember>(), SizeIs(1));
  cluster.Preempt(1, /*yielded=*/false);
  EXPECT_EQ(cluster.trial("s-0").attempt, 2);
  EXPECT_EQ(cluster.trial("s-0").preemptions, 1);
  EXPECT_EQ(cluster.trial("s-0").failure_message, "rank 1 on w2: asked to end");
}

}  // namespace
}  // namespace mead::core
