#include <cmath>

#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

Cluster Running(int trials, Goal goal = Goal::kMaximize) {
  Cluster cluster;
  cluster.Register("w1", trials);
  SweepSpec spec = SpecOf(trials, 1);
  spec.goal = goal;
  cluster.Submit("s", spec);
  for (int i = 0; i < trials; ++i) cluster.AllReady("s-" + std::to_string(i));
  return cluster;
}

TEST(Progress, TheBestEpochIsTheEarliestOfTheBestValue) {
  Cluster cluster = Running(1);
  cluster.Report("s-0", 1, 0.5);
  cluster.Report("s-0", 2, 0.75);
  cluster.Report("s-0", 3, 0.75);
  EXPECT_EQ(cluster.trial("s-0").best_epoch, 2);
  EXPECT_EQ(cluster.trial("s-0").best_value, 0.75);
  EXPECT_EQ(cluster.trial("s-0").epochs_done, 3);
}

TEST(Progress, MinimizeTakesTheSmallest) {
  Cluster cluster = Running(2, Goal::kMinimize);
  cluster.Report("s-0", 1, 0.5);
  cluster.Report("s-1", 1, 0.25);
  cluster.Report("s-0", 2, 0.3);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1");
  EXPECT_EQ(cluster.trial("s-0").best_value, 0.3);
}

TEST(Progress, TiesGoToTheEarlierTrialWhoeverReportsFirst) {
  Cluster cluster = Running(3);
  cluster.Report("s-2", 1, 0.5);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-2");
  cluster.Report("s-1", 1, 0.5);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1");
  cluster.Report("s-0", 1, 0.4);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1");
}

TEST(Progress, WhatIsNotANumberIsNeverTheBest) {
  for (double bad : {NAN, INFINITY, -INFINITY}) {
    Cluster cluster = Running(1);
    cluster.Report("s-0", 1, bad);
    EXPECT_FALSE(cluster.trial("s-0").has_best);
    EXPECT_EQ(cluster.sweep("s").best_trial_id, "");
    EXPECT_EQ(cluster.trial("s-0").epochs_done, 1);
    cluster.Report("s-0", 2, 0.1);
    EXPECT_EQ(cluster.trial("s-0").best_epoch, 2);
    EXPECT_EQ(cluster.state, cluster.state) << "a NaN in the state would differ from itself";
  }
}

TEST(Progress, ATrialThatEndsEarlyAndWellKeepsItsWords) {
  Cluster cluster = Running(1);
  cluster.Report("s-0", 1, 0.5);
  const GangMember member = cluster.trial("s-0").gang.at(0);
  cluster.Do(MemberExited{.worker = member.worker,
                          .trial = cluster.Ref("s-0"),
                          .rank = 0,
                          .succeeded = true,
                          .kind = FailureKind::kNone,
                          .message = "stopped early after epoch 1"});
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kSucceeded);
  EXPECT_EQ(cluster.trial("s-0").message, "stopped early after epoch 1");
  EXPECT_EQ(cluster.trial("s-0").epochs_done, 1);
}

TEST(Progress, TheBestCheckpointIsTheBestEpochsInEitherOrder) {
  Cluster cluster = Running(1);
  cluster.Report("s-0", 1, 0.5);
  cluster.Save("s-0", 1);
  EXPECT_EQ(cluster.trial("s-0").best.epoch, 1);
  cluster.Save("s-0", 2);  // before its report
  cluster.Report("s-0", 2, 0.9);
  EXPECT_EQ(cluster.trial("s-0").best.epoch, 2);
  cluster.Report("s-0", 3, 0.1);
  cluster.Save("s-0", 3);
  EXPECT_EQ(cluster.trial("s-0").best.digest, "sha256:2");
  EXPECT_EQ(cluster.trial("s-0").latest.digest, "sha256:3");
}

TEST(Progress, ARolledBackEpochNoLongerMakesTheBestTrial) {
  Cluster cluster = Running(2);
  cluster.Report("s-0", 1, 0.4);
  cluster.Save("s-0", 1);
  cluster.Report("s-1", 1, 0.6);
  cluster.Report("s-0", 2, 0.9);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-0");
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1");
  EXPECT_EQ(cluster.trial("s-0").best_value, 0.4);
}

void SavePredictions(Cluster& cluster, int epoch) {
  cluster.Do(PredictionsSaved{.worker = cluster.trial("s-0").gang.at(0).worker,
                              .trial = cluster.Ref("s-0"),
                              .epoch = epoch,
                              .digest = "p" + std::to_string(epoch),
                              .size_bytes = 10});
}

TEST(Progress, TheBestPredictionsAreTheBestEpochsInEitherOrder) {
  Cluster cluster = Running(1);
  cluster.Report("s-0", 1, 0.5);
  SavePredictions(cluster, 1);
  SavePredictions(cluster, 2);  // before its report
  EXPECT_EQ(cluster.trial("s-0").best_predictions.digest, "p1");
  cluster.Report("s-0", 2, 0.9);
  cluster.Report("s-0", 3, 0.1);
  SavePredictions(cluster, 3);
  SavePredictions(cluster, 2);  // late: an older epoch changes nothing
  EXPECT_EQ(cluster.trial("s-0").best_predictions.digest, "p2");
  EXPECT_EQ(cluster.trial("s-0").latest_predictions.digest, "p3");
}

TEST(Progress, ARestartForgetsThePredictionsOfEpochsThatAreRunAgain) {
  Cluster cluster = Running(1);
  cluster.Report("s-0", 1, 0.4);
  cluster.Save("s-0", 1);
  SavePredictions(cluster, 1);
  cluster.Report("s-0", 2, 0.9);
  SavePredictions(cluster, 2);
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  EXPECT_EQ(cluster.trial("s-0").latest_predictions, Predictions{});
  EXPECT_EQ(cluster.trial("s-0").best_predictions, Predictions{});
}

TEST(Progress, OnlyRankZeroReportsEpochs) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Register("w2", 1);
  cluster.Submit("s", SpecOf(1, 2));
  cluster.AllReady("s-0");
  cluster.Do(EpochReported{.worker = cluster.trial("s-0").gang[1].worker,
                           .trial = cluster.Ref("s-0"),
                           .epoch = 1,
                           .objective = 1});
  EXPECT_EQ(cluster.trial("s-0").epochs_done, 0);
}

TEST(Progress, TheSweepEndsWithItsBestTrialInWords) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", SpecOf(2, 1));
  cluster.RunToSuccess("s-0", 0.875);
  cluster.RunToSuccess("s-1", 0.5);
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kSucceeded);
  EXPECT_EQ(cluster.sweep("s").message,
            "2 of 2 trials succeeded; best: trial s-0 with val/accuracy 0.875");
}

}  // namespace
}  // namespace mead::core
