#include "worker/trainer/epoch_metrics.h"

#include <gtest/gtest.h>

#include <cmath>

namespace mead::trainer {
namespace {

TEST(EpochMetrics, NamesEveryFigureAndEveryClass) {
  const ConfusionMatrix confusion = *ConfusionMatrix::FromCounts(2, {8, 2, 1, 9});
  train::EpochSoFar training;
  training.loss_sum = 30;
  training.correct = 15;
  training.samples = 60;
  training.learning_rate = 0.1;
  training.seconds = 2;
  const auto metrics = EpochMetrics(training, confusion, 0.75, {"polyp", "normal"});
  EXPECT_DOUBLE_EQ(metrics.at("train/loss"), 0.5);
  EXPECT_DOUBLE_EQ(metrics.at("train/accuracy"), 0.25);
  EXPECT_DOUBLE_EQ(metrics.at("train/images_per_second"), 30);
  EXPECT_DOUBLE_EQ(metrics.at("lr"), 0.1);
  EXPECT_DOUBLE_EQ(metrics.at("val/loss"), 0.75);
  EXPECT_DOUBLE_EQ(metrics.at("val/accuracy"), 0.85);
  EXPECT_DOUBLE_EQ(metrics.at("val/recall/polyp"), 0.8);
  EXPECT_DOUBLE_EQ(metrics.at("val/recall/normal"), 0.9);
  EXPECT_EQ(metrics.size(), 11u + 2 * 4);
}

TEST(EpochMetrics, TheObjectiveIsTheSweepsOrTheAccuracy) {
  const std::map<std::string, double> metrics = {{"val/accuracy", 0.5}, {"val/loss", 2}};
  v1::Objective objective;
  EXPECT_EQ(ObjectiveOf(objective, metrics), 0.5);
  objective.set_metric("val/loss");
  EXPECT_EQ(ObjectiveOf(objective, metrics), 2);
  objective.set_metric("val/recall/x");
  EXPECT_TRUE(std::isnan(ObjectiveOf(objective, metrics)));
}

TEST(EpochMetrics, AnEarlyEndIsPutIntoWords) {
  v1::Objective objective;
  v1::EarlyStopping stopping;
  stopping.set_patience(3);
  EXPECT_EQ(EarlyStopWords(objective, stopping, 7),
            "stopped early after epoch 7: val/accuracy has not risen for 3 epochs");
  objective.set_metric("val/loss");
  objective.set_goal("minimize");
  stopping.set_patience(1);
  stopping.set_min_delta(0.01);
  EXPECT_EQ(EarlyStopWords(objective, stopping, 2),
            "stopped early after epoch 2: val/loss has not fallen by more than 0.01 for 1 epoch");
}

}  // namespace
}  // namespace mead::trainer
