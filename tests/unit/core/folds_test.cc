#include "coordinator/core/folds.h"

#include <cmath>

#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

// Two configurations of three folds each, and slots for all of them.
Cluster Running(Goal goal = Goal::kMaximize, int parallel = 0) {
  Cluster cluster;
  cluster.Register("w1", 6);
  SweepSpec spec = SpecOf(2, 1);
  spec.goal = goal;
  spec.parallel = parallel;
  spec.fold_train_samples = {80, 81, 82};
  spec.space = {{"optimizer.lr", UniformRange{0, 1, 0}}};
  cluster.Submit("s", spec);
  return cluster;
}

TEST(Folds, AreTrialsOfOneConfigurationNextToEachOther) {
  const Cluster cluster = Running();
  EXPECT_EQ(cluster.sweep("s").trial_ids,
            (std::vector<std::string>{"s-0.1", "s-0.2", "s-0.3", "s-1.1", "s-1.2", "s-1.3"}));
  EXPECT_EQ(cluster.sweep("s").total_trials, 6);
  for (const char* fold : {".2", ".3"}) {
    EXPECT_EQ(cluster.trial(std::string("s-0") + fold).params, cluster.trial("s-0.1").params);
    EXPECT_EQ(cluster.trial(std::string("s-1") + fold).params, cluster.trial("s-1.1").params);
  }
  EXPECT_NE(cluster.trial("s-0.1").params, cluster.trial("s-1.1").params);
}

TEST(Folds, TryWhatTheSameSearchWithoutFoldsTries) {
  const Cluster with = Running();
  Cluster without;
  without.Register("w1", 6);
  SweepSpec spec = with.sweep("s").spec;
  spec.fold_train_samples.clear();
  without.Submit("s", spec);
  EXPECT_EQ(with.trial("s-0.3").params, without.trial("s-0").params);
  EXPECT_EQ(with.trial("s-1.1").params, without.trial("s-1").params);
}

TEST(Folds, AConfigurationHasNoValueBeforeItsLastFoldHasSucceeded) {
  Cluster cluster = Running();
  cluster.RunToSuccess("s-1.1", 0.9);
  cluster.RunToSuccess("s-1.2", 0.8);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "");
  EXPECT_EQ(ValueOf(cluster.state, cluster.sweep("s"), 1), std::nullopt);
  cluster.AllReady("s-1.3");
  cluster.Report("s-1.3", 1, 0.7);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "");
  cluster.Exit("s-1.3", 0);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1.1");
  const ConfigurationScore score = ScoreOf(cluster.state, cluster.sweep("s"), 1);
  EXPECT_EQ(score.succeeded, 3);
  EXPECT_DOUBLE_EQ(score.mean, 0.8);
  EXPECT_NEAR(score.standard_deviation, 0.1, 1e-15);
}

TEST(Folds, TheBestIsTheConfigurationWithTheBestMeanNotTheOneWithTheBestFold) {
  for (const bool first_ends_first : {true, false}) {
    Cluster cluster = Running();
    const auto run = [&cluster](int configuration) {
      const double values[2][3] = {{0.99, 0.1, 0.1}, {0.5, 0.6, 0.55}};
      for (int fold = 0; fold < 3; ++fold) {
        cluster.RunToSuccess("s-" + std::to_string(configuration) + "." + std::to_string(fold + 1),
                             values[configuration][fold]);
      }
    };
    run(first_ends_first ? 0 : 1);
    run(first_ends_first ? 1 : 0);
    EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1.2");
    EXPECT_EQ(cluster.sweep("s").state, SweepState::kSucceeded);
    EXPECT_EQ(cluster.sweep("s").message,
              "6 of 6 trials succeeded; best: configuration 1 with val/accuracy 0.55 +- 0.05 over "
              "3 folds");
  }
}

TEST(Folds, TiesGoToTheEarlierConfigurationWhicheverEndsFirst) {
  Cluster cluster = Running(Goal::kMinimize);
  for (const char* trial : {"s-1.1", "s-1.2", "s-1.3"}) cluster.RunToSuccess(trial, 0.5);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1.1");
  for (const char* trial : {"s-0.1", "s-0.2", "s-0.3"}) cluster.RunToSuccess(trial, 0.5);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-0.1");
}

TEST(Folds, AFoldThatFailsForGoodFailsItsConfiguration) {
  Cluster cluster = Running();
  cluster.RunToSuccess("s-0.1", 0.99);
  cluster.RunToSuccess("s-0.2", 0.99);
  cluster.AllReady("s-0.3");
  cluster.Fail("s-0.3", 0, FailureKind::kUserError, "no good");
  ASSERT_EQ(cluster.trial("s-0.3").state, TrialState::kFailed);
  EXPECT_EQ(ScoreOf(cluster.state, cluster.sweep("s"), 0).failed, 1);
  for (const char* trial : {"s-1.1", "s-1.2"}) cluster.RunToSuccess(trial, 0.5);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "");
  cluster.RunToSuccess("s-1.3", 0.5);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "s-1.1");
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kSucceeded);
}

TEST(Folds, ASweepWithoutAWholeConfigurationHasFailed) {
  Cluster cluster = Running();
  for (const char* configuration : {"s-0", "s-1"}) {
    cluster.RunToSuccess(std::string(configuration) + ".1", 0.9);
    cluster.RunToSuccess(std::string(configuration) + ".3", 0.9);
    cluster.AllReady(std::string(configuration) + ".2");
    cluster.Fail(std::string(configuration) + ".2", 0, FailureKind::kUserError, "no good");
  }
  EXPECT_EQ(cluster.sweep("s").state, SweepState::kFailed);
  EXPECT_EQ(cluster.sweep("s").message, "4 of 6 trials succeeded");
}

TEST(Folds, ParallelBoundsTheTrialsThatRunAtOnce) {
  Cluster cluster = Running(Goal::kMaximize, 2);
  EXPECT_EQ(cluster.sweep("s").trial_ids, (std::vector<std::string>{"s-0.1", "s-0.2"}));
  cluster.RunToSuccess("s-0.1", 0.5);
  EXPECT_EQ(cluster.sweep("s").trial_ids.back(), "s-0.3");
}

TEST(Folds, ADivergedFoldGivesItsConfigurationNoValue) {
  Cluster cluster = Running();
  cluster.RunToSuccess("s-0.1", 0.5);
  cluster.RunToSuccess("s-0.2", 0.5);
  cluster.RunToSuccess("s-0.3", NAN);
  EXPECT_EQ(ScoreOf(cluster.state, cluster.sweep("s"), 0).succeeded, 2);
  EXPECT_EQ(cluster.sweep("s").best_trial_id, "");
}

}  // namespace
}  // namespace mead::core
