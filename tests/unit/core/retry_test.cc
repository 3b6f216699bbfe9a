#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

Cluster Running(int ranks, RetryBudget retry = {}) {
  Cluster cluster;
  cluster.Register("w1", ranks);
  SweepSpec spec = SpecOf(1, ranks);
  spec.retry = retry;
  cluster.Submit("s", spec);
  cluster.AllReady("s-0");
  return cluster;
}

TEST(Retry, AFailedRankEndsTheWholeGangBeforeTheTrialGoesOn) {
  Cluster cluster = Running(3);
  cluster.Fail("s-0", 1, FailureKind::kInfrastructure, "killed by signal 9");
  const auto aborted = cluster.Of<AbortMember>();
  ASSERT_THAT(aborted, SizeIs(2));
  EXPECT_EQ(aborted[0].rank, 0);
  EXPECT_EQ(aborted[1].rank, 2);
  EXPECT_EQ(aborted[0].reason, "rank 1 on w1: killed by signal 9");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopping);
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kDraining);
  EXPECT_EQ(cluster.slot("w1", 1).state, SlotState::kIdle);
  cluster.ExitAborted("s-0", 0);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopping);
  cluster.ExitAborted("s-0", 2);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kQueued);
}

TEST(Retry, AnInfrastructureFailureWaitsLongerEachTime) {
  Cluster cluster = Running(1);
  TimeMicros expected = kSecond;
  for (int restart = 1; restart <= 8; ++restart) {
    cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
    EXPECT_EQ(cluster.trial("s-0").state, TrialState::kQueued);
    EXPECT_EQ(NextDeadline(cluster.state), cluster.now + expected);
    cluster.PassNextDeadline();
    EXPECT_EQ(cluster.trial("s-0").attempt, restart + 1);
    cluster.AllReady("s-0");
    expected = std::min(2 * expected, 60 * kSecond);
  }
}

TEST(Retry, AFinishedEpochResetsTheWait) {
  Cluster cluster = Running(1);
  for (int i = 0; i < 3; ++i) {
    cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
    cluster.PassNextDeadline();
    cluster.AllReady("s-0");
  }
  cluster.Report("s-0", 1, 0.5);
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  EXPECT_EQ(NextDeadline(cluster.state), cluster.now + kSecond);
}

TEST(Retry, AUserErrorFailsAtOnceAndSaysWhy) {
  Cluster cluster = Running(1);
  cluster.Fail("s-0", 0, FailureKind::kUserError, "the loss is NaN at step 12");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kFailed);
  EXPECT_EQ(cluster.trial("s-0").message,
            "rank 0 on w1: the loss is NaN at step 12 (user error; not retried)");
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kFailed);
  EXPECT_EQ(cluster.sweep("s").message, "0 of 1 trial succeeded");
}

TEST(Retry, EachKindHasItsOwnBudget) {
  Cluster cluster = Running(1, {.user_error = 1, .out_of_memory = 1, .infrastructure = 1});
  cluster.Fail("s-0", 0, FailureKind::kOutOfMemory, "CUDA out of memory");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStarting);  // no wait: slots are idle
  cluster.Fail("s-0", 0, FailureKind::kUserError, "bad weights");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStarting);
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  cluster.PassNextDeadline();
  EXPECT_EQ(cluster.trial("s-0").attempt, 4);
  cluster.Fail("s-0", 0, FailureKind::kOutOfMemory, "CUDA out of memory");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kFailed);
  EXPECT_THAT(cluster.trial("s-0").message, HasSubstr("its 1 restart used up"));
}

TEST(Retry, AnUnlimitedBudgetNeverRunsOut) {
  Cluster cluster = Running(1, {.out_of_memory = RetryBudget::kUnlimited});
  for (int i = 0; i < 50; ++i) cluster.Fail("s-0", 0, FailureKind::kOutOfMemory, "full");
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStarting);
  EXPECT_EQ(cluster.trial("s-0").attempt, 51);
}

TEST(Retry, TheMostTellingRankDecidesWhichBudgetPays) {
  Cluster cluster = Running(2);
  // The rank that only lost its peer reports first.
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "connection reset by peer");
  cluster.Fail("s-0", 1, FailureKind::kOutOfMemory, "CUDA out of memory");
  const Trial& trial = cluster.trial("s-0");
  EXPECT_EQ(trial.out_of_memory_retries, 1);
  EXPECT_EQ(trial.infrastructure_retries, 0);
  EXPECT_EQ(trial.failure_message, "rank 1 on w1: CUDA out of memory");
}

TEST(Retry, ARestartGoesOnFromTheLastCheckpoint) {
  Cluster cluster = Running(1);
  cluster.Report("s-0", 1, 0.5);
  cluster.Save("s-0", 1);
  cluster.Report("s-0", 2, 0.9);  // its checkpoint never comes
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  EXPECT_EQ(cluster.trial("s-0").epochs_done, 1);
  EXPECT_EQ(cluster.trial("s-0").best_value, 0.5);
  EXPECT_THAT(cluster.trial("s-0").message,
              HasSubstr("restart 1 of 10 after 1 s, from the checkpoint of epoch 1"));
  cluster.PassNextDeadline();
  const auto assigned = cluster.Of<AssignMember>();
  ASSERT_THAT(assigned, SizeIs(1));
  EXPECT_EQ(assigned[0].resume_digest, "sha256:1");
  EXPECT_EQ(assigned[0].resume_epoch, 1);
  EXPECT_EQ(assigned[0].trial.attempt, 2);
}

TEST(Retry, AStartTimeoutNamesTheLateRanksAndReturnsTheSlots) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Register("w2", 1);
  cluster.Submit("s", SpecOf(1, 2));
  cluster.Ready("s-0", 0);
  EXPECT_EQ(NextDeadline(cluster.state), cluster.now + 600 * kSecond);
  cluster.PassNextDeadline();
  EXPECT_EQ(cluster.trial("s-0").failure_message,
            "1 of 2 ranks not ready within 10 min: rank 1 on w2");
  EXPECT_THAT(cluster.Of<AbortMember>(), SizeIs(2));
  cluster.ExitAborted("s-0", 0);
  cluster.ExitAborted("s-0", 1);
  EXPECT_EQ(cluster.slot("w1", 0).state, SlotState::kIdle);
  EXPECT_EQ(cluster.slot("w2", 0).state, SlotState::kIdle);
  EXPECT_EQ(cluster.trial("s-0").infrastructure_retries, 1);
}

TEST(Retry, ALateTickDelaysNothing) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 1));
  cluster.Advance(601 * kSecond);
  cluster.Register("w2", 1);  // any event carries time
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopping);
}

TEST(Retry, ARunningTrialHasNoDeadline) {
  Cluster cluster = Running(1);
  cluster.Advance(1000 * kSecond);
  cluster.Do(Tick{});
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kRunning);
  EXPECT_EQ(NextDeadline(cluster.state), std::nullopt);
}

TEST(Retry, MessagesOfAnEarlierAttemptChangeNothing) {
  Cluster cluster = Running(1);
  const TrialRef old = cluster.Ref("s-0");
  const WorkerRef worker = cluster.trial("s-0").gang[0].worker;
  cluster.Fail("s-0", 0, FailureKind::kOutOfMemory, "full");
  cluster.AllReady("s-0");
  const ClusterState before = cluster.state;
  cluster.Do(EpochReported{.worker = worker, .trial = old, .epoch = 1, .objective = 1.0});
  cluster.Do(CheckpointSaved{
      .worker = worker, .trial = old, .epoch = 1, .digest = "sha256:1", .size_bytes = 1});
  cluster.Do(MemberReady{.worker = worker, .trial = old, .rank = 0, .rendezvous = "x"});
  cluster.Do(MemberExited{.worker = worker,
                          .trial = old,
                          .rank = 0,
                          .succeeded = true,
                          .kind = FailureKind::kNone,
                          .message = ""});
  EXPECT_EQ(cluster.state, before);
  EXPECT_THAT(cluster.commands, IsEmpty());
}

TEST(Retry, ARankThatEndsWellBeforeTheStartIsAFailure) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 1));
  cluster.Exit("s-0", 0);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kQueued);
  EXPECT_THAT(cluster.trial("s-0").message, HasSubstr("ended before the training was started"));
}

}  // namespace
}  // namespace mead::core
