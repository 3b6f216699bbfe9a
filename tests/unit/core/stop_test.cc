#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

TEST(Stop, ARunningTrialStopsWhenItsLastRankHasEnded) {
  Cluster cluster;
  cluster.Register("w1", 2);
  cluster.Submit("s", SpecOf(1, 2));
  cluster.AllReady("s-0");
  cluster.Do(TrialStopRequested{"s-0"});
  EXPECT_THAT(cluster.Of<AbortMember>(), SizeIs(2));
  cluster.ExitAborted("s-0", 0);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopping);
  cluster.ExitAborted("s-0", 1);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopped);
  EXPECT_EQ(cluster.trial("s-0").failure, FailureKind::kNone);
  EXPECT_EQ(cluster.trial("s-0").message, "stopped on request");
}

TEST(Stop, ATrialThatWaitsForARestartStopsAtOnce) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 1));
  cluster.AllReady("s-0");
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  cluster.Do(TrialStopRequested{"s-0"});
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopped);
  cluster.Advance(10 * kSecond);
  cluster.Do(Tick{});
  EXPECT_THAT(cluster.commands, IsEmpty());
}

TEST(Stop, AFailingTrialThatIsStoppedIsNotRetried) {
  Cluster cluster;
  cluster.Register("w1", 2);
  cluster.Submit("s", SpecOf(1, 2));
  cluster.AllReady("s-0");
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  cluster.Do(TrialStopRequested{"s-0"});
  EXPECT_THAT(cluster.commands, IsEmpty());  // its other rank has been told
  cluster.ExitAborted("s-0", 1);
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kStopped);
}

TEST(Stop, StoppingWhatHasEndedChangesNothing) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 1));
  cluster.RunToSuccess("s-0", 0.5);
  const ClusterState before = cluster.state;
  cluster.Do(TrialStopRequested{"s-0"});
  cluster.Do(SweepStopRequested{"s"});
  cluster.Do(TrialStopRequested{"unknown"});
  cluster.Do(SweepStopRequested{"unknown"});
  EXPECT_EQ(cluster.state, before);
}

TEST(Stop, AStoppedSweepMakesNoMoreTrials) {
  Cluster cluster;
  cluster.Register("w1", 1);
  SweepSpec spec = SpecOf(5, 1);
  spec.parallel = 2;
  cluster.Submit("s", spec);
  cluster.AllReady("s-0");
  cluster.Do(SweepStopRequested{"s"});
  EXPECT_EQ(cluster.trial("s-1").state, TrialState::kStopped);
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kStopping);
  cluster.ExitAborted("s-0", 0);
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kStopped);
  EXPECT_THAT(cluster.sweep("s").trial_ids, SizeIs(2));
  EXPECT_EQ(cluster.sweep("s").message, "stopped on request; 0 of 5 trials succeeded");
}

TEST(Stop, StoppingOneTrialLetsTheNextBegin) {
  Cluster cluster;
  cluster.Register("w1", 1);
  SweepSpec spec = SpecOf(2, 1);
  spec.parallel = 1;
  cluster.Submit("s", spec);
  cluster.AllReady("s-0");
  cluster.Do(TrialStopRequested{"s-0"});
  cluster.ExitAborted("s-0", 0);
  EXPECT_EQ(cluster.trial("s-1").state, TrialState::kStarting);
}

TEST(Submit, TheSameRequestGivesTheSameSweep) {
  Cluster cluster;
  cluster.Submit("s", SpecOf(1, 1));
  const ClusterState before = cluster.state;
  cluster.Do(SweepSubmitted{"other-id", "request-s", SpecOf(1, 1)});
  EXPECT_EQ(cluster.state, before);
  EXPECT_EQ(cluster.state.requests.at("request-s"), "s");
}

TEST(Submit, ASweepWithoutItsDataSetFailsInWords) {
  Cluster cluster;
  SweepSpec spec = SpecOf(1, 1);
  spec.dataset = "kvasri";
  cluster.Submit("s", spec);
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kFailed);
  EXPECT_EQ(cluster.sweep("s").message, "there is no data set \"kvasri\"");
}

TEST(Submit, AGridThatCannotBeWalkedFailsInWords) {
  Cluster cluster;
  SweepSpec spec = SpecOf(0, 1);  // a log-uniform range has no steps
  spec.method = SearchMethod::kGrid;
  cluster.Submit("s", spec);
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kFailed);
  EXPECT_THAT(cluster.sweep("s").message, ::testing::HasSubstr("a grid needs a step"));
}

TEST(Dataset, IsKeptWhileASweepUsesIt) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(1, 1));
  cluster.Do(DatasetDeleted{"kvasir"});
  EXPECT_TRUE(cluster.state.datasets.contains("kvasir"));
  cluster.RunToSuccess("s-0", 0.5);
  cluster.Do(DatasetDeleted{"kvasir"});
  EXPECT_FALSE(cluster.state.datasets.contains("kvasir"));
}

TEST(Dataset, ANameNeverChangesItsPictures) {
  Cluster cluster;
  cluster.Do(DatasetCreated{"kvasir", "sha256:other", 1, ""});
  EXPECT_EQ(cluster.state.datasets.at("kvasir").manifest_digest, "sha256:0");
}

}  // namespace
}  // namespace mead::core
