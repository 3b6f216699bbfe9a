#include "coordinator/service/confusion_view.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>

#include "absl/status/status.h"
#include "coordinator/core/folds.h"
#include "tests/support/memory_store.h"

namespace mead::service {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two configurations of three folds; no fold has reported.
class ConfusionViewTest : public ::testing::Test {
 protected:
  ConfusionViewTest() {
    core::Sweep& sweep = state_.sweeps["s"];
    sweep.id = "s";
    sweep.spec.fold_train_samples = {20, 20, 20};
    for (int i = 0; i < 6; ++i) {
      const std::string id = core::TrialId(sweep, i);
      core::Trial& trial = state_.trials[id];
      trial.id = id;
      trial.sweep_id = "s";
      trial.index = i;
      sweep.trial_ids.push_back(id);
    }
  }

  // The best epoch so far.
  void Report(const std::string& trial, int epoch, std::vector<int64_t> counts,
              std::vector<std::string> classes = {"a", "b"}) {
    store::Rows rows;
    rows.confusion.push_back(
        {.trial_id = trial, .epoch = epoch, .classes = classes, .counts = counts});
    rows.metrics.push_back({.trial_id = trial, .epoch = epoch, .name = "val/ece", .value = 0.25});
    ASSERT_TRUE(store_.Append({}, rows, {}).ok());
    state_.trials.at(trial).best_epoch = epoch;
  }

  auto Pooled(const std::string& trial, int epoch = 0) {
    return PooledConfusionOf(store_, state_, state_.trials.at(trial), epoch);
  }

  core::ClusterState state_;
  testing::MemoryStore store_{std::make_shared<testing::MemoryDisk>()};
};

TEST_F(ConfusionViewTest, OneTrialsIsOfItsBestEpochUnlessAsked) {
  Report("s-0.1", 1, {1, 2, 3, 4});
  Report("s-0.1", 2, {5, 6, 7, 8});
  const auto best = ConfusionOf(store_, state_.trials.at("s-0.1"), 0);
  ASSERT_TRUE(best.ok()) << best.status();
  EXPECT_EQ(best->epoch(), 2);
  EXPECT_THAT(best->confusion().counts(), ElementsAre(5, 6, 7, 8));
  EXPECT_DOUBLE_EQ(best->metrics().at("val/ece"), 0.25);
  EXPECT_FALSE(best->has_pooled());
  EXPECT_THAT(ConfusionOf(store_, state_.trials.at("s-0.1"), 1)->confusion().counts(),
              ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(ConfusionOf(store_, state_.trials.at("s-0.1"), 3).status().message(),
              HasSubstr("no confusion matrix of epoch 3; there are epochs 1, 2"));
  EXPECT_TRUE(absl::IsOutOfRange(ConfusionOf(store_, state_.trials.at("s-0.2"), 0).status()));
}

TEST_F(ConfusionViewTest, PooledAddsUpTheFoldsOfTheConfigurationThatHaveReported) {
  Report("s-1.1", 3, {1, 0, 0, 2});
  Report("s-1.3", 5, {0, 1, 1, 10});
  Report("s-0.1", 3, {100, 100, 100, 100});
  const auto pooled = Pooled("s-1.2");
  ASSERT_TRUE(pooled.ok()) << pooled.status();
  EXPECT_THAT(pooled->confusion().classes(), ElementsAre("a", "b"));
  EXPECT_THAT(pooled->confusion().counts(), ElementsAre(1, 1, 1, 12));
  EXPECT_TRUE(pooled->metrics().empty()) << "an epoch's figures are of one model";
  EXPECT_EQ(pooled->pooled().sweep_id(), "s");
  EXPECT_EQ(pooled->pooled().configuration(), 1);
  EXPECT_EQ(pooled->pooled().folds(), 3);
  ASSERT_EQ(pooled->pooled().sources_size(), 2);
  EXPECT_EQ(pooled->pooled().sources(0).trial_id(), "s-1.1");
  EXPECT_EQ(pooled->pooled().sources(0).epoch(), 3);
  EXPECT_EQ(pooled->pooled().sources(1).trial_id(), "s-1.3");
  EXPECT_EQ(pooled->pooled().sources(1).epoch(), 5);
}

TEST_F(ConfusionViewTest, PooledOfAnEpochLeavesOutFoldsThatHaveNotReachedIt) {
  Report("s-0.1", 1, {1, 0, 0, 1});
  Report("s-0.1", 2, {2, 0, 0, 2});
  Report("s-0.2", 1, {3, 0, 0, 3});
  EXPECT_THAT(Pooled("s-0.1", 1)->confusion().counts(), ElementsAre(4, 0, 0, 4));
  EXPECT_THAT(Pooled("s-0.1", 2)->confusion().counts(), ElementsAre(2, 0, 0, 2));
  EXPECT_THAT(Pooled("s-0.1", 3).status().message(), HasSubstr("of epoch 3"));
}

TEST_F(ConfusionViewTest, PooledOfNothingSaysSo) {
  EXPECT_TRUE(absl::IsOutOfRange(Pooled("s-0.1").status()));
  EXPECT_THAT(Pooled("s-0.1").status().message(), HasSubstr("first epoch's report"));
  state_.sweeps.at("s").spec.fold_train_samples.clear();
  EXPECT_TRUE(absl::IsFailedPrecondition(Pooled("s-0.1").status()));
  EXPECT_THAT(Pooled("s-0.1").status().message(), HasSubstr("search.folds"));
}

TEST_F(ConfusionViewTest, MatricesOfOtherClassesAreNotAddedUp) {
  Report("s-0.1", 1, {1, 0, 0, 1});
  Report("s-0.2", 1, {3, 0, 0, 3}, {"a", "c"});
  EXPECT_TRUE(absl::IsInternal(Pooled("s-0.1").status()));
}

}  // namespace
}  // namespace mead::service
