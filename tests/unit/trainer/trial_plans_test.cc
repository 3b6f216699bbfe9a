#include "worker/trainer/trial_plans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

namespace mead::trainer {
namespace {

using ::testing::ElementsAre;

// 12 training pictures, whose classes (7, 4 and 1 of them) lie mixed, and 6 others between them.
dataset::Manifest Mixed() {
  dataset::Manifest manifest;
  manifest.classes = {"a", "b", "c"};
  const auto add = [&](uint32_t label, dataset::Split split) {
    dataset::Sample& sample = manifest.samples.emplace_back();
    sample.class_id = label;
    sample.split = split;
  };
  for (const uint32_t label : {1, 0, 0, 1, 2, 0, 1, 0, 0, 1, 0, 0}) {
    if (manifest.samples.size() % 3 == 1) add(2, dataset::Split::kVal);
    add(label, dataset::Split::kTrain);
  }
  return manifest;
}

std::map<uint32_t, int> ClassesOf(const dataset::Manifest& manifest, const TrialPlans& plans,
                                  const EpochPlan& plan, int ranks) {
  const std::vector<uint32_t> samples = manifest.SamplesOf(dataset::Split::kTrain);
  std::map<uint32_t, int> uses;
  for (int rank = 0; rank < ranks; ++rank) {
    for (const auto& step : plans.ShareOf(plan, rank).steps) {
      for (const uint64_t place : step) ++uses[manifest.samples[samples.at(place)].class_id];
    }
  }
  return uses;
}

TEST(TrialPlans, EveryPictureOnceUnlessClassesAreBalanced) {
  const dataset::Manifest manifest = Mixed();
  v1::TrainConfig config;
  config.set_batch_size(5);
  const TrialPlans all(config, manifest, 2);
  EXPECT_EQ(ClassesOf(manifest, all, all.Training(1), 2),
            (std::map<uint32_t, int>{{0, 7}, {1, 4}, {2, 1}}));
  config.set_sampling("balanced");
  const TrialPlans balanced(config, manifest, 2);
  EXPECT_EQ(ClassesOf(manifest, balanced, balanced.Training(1), 2),
            (std::map<uint32_t, int>{{0, 4}, {1, 4}, {2, 4}}));
  EXPECT_NE(balanced.Training(1).Digest(), balanced.Training(2).Digest());
}

// The only picture of class c comes four times in an epoch.
TEST(TrialPlans, RepeatedPicturesHaveTurnsOfTheirOwn) {
  const dataset::Manifest manifest = Mixed();
  v1::TrainConfig config;
  config.set_batch_size(5);
  config.set_sampling("balanced");
  const TrialPlans plans(config, manifest, 2);
  const EpochPlan plan = plans.Training(1);
  std::set<std::pair<uint64_t, uint64_t>> uses;
  for (const int rank : {0, 1}) {
    const TrialPlans::Share share = plans.ShareOf(plan, rank);
    ASSERT_EQ(share.steps.size(), share.turns.size());
    for (size_t step = 0; step < share.steps.size(); ++step) {
      ASSERT_EQ(share.steps[step].size(), share.turns[step].size());
      for (size_t i = 0; i < share.steps[step].size(); ++i) {
        EXPECT_TRUE(uses.insert({share.steps[step][i], share.turns[step][i]}).second);
      }
    }
  }
  const uint64_t rare = 4;  // its place among the training pictures
  for (const uint64_t turn : {0, 1, 2, 3}) EXPECT_TRUE(uses.contains({rare, turn}));
}

TEST(TrialPlans, EvaluationKeepsTheOrderAndVirtualRanksShareTraining) {
  const dataset::Manifest manifest = Mixed();
  v1::TrainConfig config;
  config.set_batch_size(4);
  config.set_sampling("balanced");
  config.set_deterministic(true);
  const TrialPlans one(config, manifest, 1);
  const TrialPlans two(config, manifest, 2);
  const TrialPlans::Share evaluation = one.ShareOf(one.Evaluation(), 0);
  EXPECT_THAT(evaluation.steps, ElementsAre(ElementsAre(0, 1, 2, 3), ElementsAre(4, 5)));
  EXPECT_TRUE(evaluation.turns.empty());
  EXPECT_EQ(one.Training(1).Digest(), two.Training(1).Digest());
  const auto whole = one.ShareOf(one.Training(1), 0).steps[0];
  auto halves = two.ShareOf(two.Training(1), 0).steps[0];
  const auto second = two.ShareOf(two.Training(1), 1).steps[0];
  halves.insert(halves.end(), second.begin(), second.end());
  EXPECT_EQ(whole, halves);
}

// What a ledger counts is what the coordinator's plan numbers; what lies at a place of a batch is
// what some rank's share has there.
TEST(TrialPlans, SharesAndPlansSpeakOfTheSamePictures) {
  const dataset::Manifest manifest = Mixed();
  v1::TrainConfig config;
  config.set_batch_size(5);
  for (const char* sampling : {"all", "balanced"}) {
    config.set_sampling(sampling);
    const TrialPlans plans(config, manifest, 2);
    const EpochPlan plan = plans.Training(1, 1);
    for (const int rank : {0, 1}) {
      const TrialPlans::Share share = plans.ShareOf(plan, rank);
      ASSERT_EQ(share.steps.size(), plan.steps() - 1);
      for (size_t i = 0; i < share.steps.size(); ++i) {
        const auto slice = plan.Slice(1 + i, static_cast<uint32_t>(rank));
        EXPECT_EQ(plans.ToPlan(share.steps[i]), std::vector<uint64_t>(slice.begin(), slice.end()));
        const uint64_t begin = plans.BeginOf(plan, 1 + i, rank);
        for (size_t k = 0; k < share.steps[i].size(); ++k) {
          const TrialPlans::Use use = plans.At(plan, 1 + i, begin + k);
          EXPECT_EQ(use.sample, share.steps[i][k]);
          EXPECT_EQ(use.turn, share.turns.empty() ? 0 : share.turns[i][k]);
        }
      }
    }
  }
}

}  // namespace
}  // namespace mead::trainer
