#include "worker/train/objective_watch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <vector>

#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TrainOptions Plateau(int patience) {
  TrainOptions options;
  options.schedule = ScheduleKind::kPlateau;
  options.patience = patience;
  return options;
}

std::vector<int> CutsAfter(ObjectiveWatch& watch, const std::vector<double>& objectives) {
  std::vector<int> cuts;
  for (const double objective : objectives) {
    watch.Add(objective);
    cuts.push_back(watch.cuts());
  }
  return cuts;
}

TEST(ObjectiveWatch, ThePlateauEndsWithABetterFigureAndBeginsAnewAfterAFall) {
  const TrainOptions options = Plateau(2);
  ObjectiveWatch watch(options);
  EXPECT_THAT(CutsAfter(watch, {0.5, 0.5, 0.6, 0.6, 0.59, 0.6, 0.6, 0.7, 0.1, 0.1}),
              ElementsAre(0, 0, 0, 0, 1, 1, 2, 2, 2, 3));
}

TEST(ObjectiveWatch, ALossIsBetterWhenItIsLess) {
  TrainOptions options = Plateau(2);
  options.maximize = false;
  ObjectiveWatch watch(options);
  EXPECT_THAT(CutsAfter(watch, {0.5, 0.4, 0.3, 0.4, 0.5}), ElementsAre(0, 0, 0, 0, 1));
}

TEST(ObjectiveWatch, WhatIsNotANumberIsNoProgress) {
  const TrainOptions options = Plateau(2);
  ObjectiveWatch watch(options);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  EXPECT_THAT(CutsAfter(watch, {nan, nan, 0.1, nan, nan}), ElementsAre(0, 1, 1, 1, 2));
}

TEST(ObjectiveWatch, EveryPhaseBeginsAtThePeak) {
  const TrainOptions options = Plateau(1);
  ObjectiveWatch watch(options);
  EXPECT_THAT(CutsAfter(watch, {0.5, 0.5}), ElementsAre(0, 1));
  watch.EnterPhase(0);
  EXPECT_EQ(watch.cuts(), 1);
  watch.EnterPhase(1);
  EXPECT_THAT(CutsAfter(watch, {0.1, 0.2, 0.2}), ElementsAre(0, 0, 1));
}

TEST(ObjectiveWatch, StopsAfterAsManyEpochsWithoutMoreThanTheDelta) {
  TrainOptions options;
  options.stop_patience = 2;
  options.stop_min_delta = 0.1;
  ObjectiveWatch watch(options);
  std::vector<bool> stops;
  for (const double objective : {0.5, 0.55, 0.61, 0.65, 0.7}) {
    watch.Add(objective);
    watch.EnterPhase(objective > 0.6 ? 1 : 0);  // a phase gives no further time
    stops.push_back(watch.stops());
  }
  EXPECT_THAT(stops, ElementsAre(false, false, false, false, true));
}

TEST(ObjectiveWatch, WithoutEarlyStoppingNothingStops) {
  const TrainOptions options;
  ObjectiveWatch watch(options);
  for (int i = 0; i < 100; ++i) watch.Add(0);
  EXPECT_FALSE(watch.stops());
  EXPECT_THAT(watch.ToMetadata(), IsEmpty());
}

// 0.1 + 0.2 has no short decimal form.
TEST(ObjectiveWatch, WhatACheckpointHoldsGoesOnExactly) {
  TrainOptions options = Plateau(2);
  options.stop_patience = 3;
  ObjectiveWatch whole(options);
  whole.EnterPhase(1);
  for (const double objective : {0.2, 0.1 + 0.2, 0.3, 0.3}) whole.Add(objective);
  ObjectiveWatch resumed(options);
  resumed.FromMetadata(whole.ToMetadata());
  EXPECT_EQ(resumed.ToMetadata(), whole.ToMetadata());
  resumed.EnterPhase(1);
  for (ObjectiveWatch* watch : {&whole, &resumed}) {
    EXPECT_EQ(watch->cuts(), 1);
    watch->Add(0.3);  // still less than the best by one bit
    EXPECT_TRUE(watch->stops());
  }
}

TEST(ObjectiveWatch, AnOlderCheckpointIsABeginningAndAStrangeTextIsRefused) {
  const TrainOptions options = Plateau(1);
  ObjectiveWatch watch(options);
  watch.Add(0.5);
  watch.Add(0.5);
  watch.FromMetadata({});
  EXPECT_EQ(watch.cuts(), 0);
  EXPECT_THROW(watch.FromMetadata({{"watch.plateau", "0 1 1 half 0"}}), TrainError);
}

}  // namespace
}  // namespace mead::train
