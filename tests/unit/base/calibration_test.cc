#include "common/base/calibration.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "common/base/rng.h"

namespace mead {
namespace {

struct Case {
  std::vector<float> log_probabilities;
  std::vector<int32_t> truth;
  int classes = 2;
  Scores scores() const { return {log_probabilities, truth, classes}; }
  void Add(double p_of_first, int32_t true_class) {
    log_probabilities.push_back(static_cast<float>(std::log(p_of_first)));
    log_probabilities.push_back(static_cast<float>(std::log(1 - p_of_first)));
    truth.push_back(true_class);
  }
};

TEST(Calibration, TheErrorIsTheGapBetweenConfidenceAndAccuracy) {
  Case c;
  for (int i = 0; i < 4; ++i) c.Add(0.9, i == 0 ? 1 : 0);  // sure of 0.9, right 3 of 4 times
  EXPECT_NEAR(ExpectedCalibrationError(c.scores()), 0.15, 1e-6);
  for (int i = 0; i < 4; ++i) c.Add(0.55, 0);  // in another bin: sure of 0.55, always right
  EXPECT_NEAR(ExpectedCalibrationError(c.scores()), (0.15 + 0.45) / 2, 1e-6);
}

TEST(Calibration, CertaintyFallsIntoTheLastBin) {
  Case c;
  c.log_probabilities = {0.0f, -200.0f};
  c.truth = {0};
  EXPECT_EQ(ExpectedCalibrationError(c.scores()), 0);
  c.truth = {1};
  EXPECT_EQ(ExpectedCalibrationError(c.scores()), 1);
}

TEST(Calibration, TheTemperatureOfAnOverconfidentModelComesOut) {
  // Right with probability q where it says softmax(T * logit(q)): the fit must find T.
  for (const double temperature : {0.5, 1.0, 2.5}) {
    Case c;
    for (const double q : {0.6, 0.7, 0.8, 0.9}) {
      const double said = 1 / (1 + std::exp(-temperature * std::log(q / (1 - q))));
      for (int i = 0; i < 100; ++i) c.Add(said, i < std::lround(100 * q) ? 0 : 1);
    }
    EXPECT_NEAR(FitTemperature(c.scores()), temperature, 1e-4);
    EXPECT_NEAR(ExpectedCalibrationError(c.scores(), FitTemperature(c.scores())), 0, 1e-4);
  }
}

TEST(Calibration, NoTemperatureNearbyIsBetter) {
  Rng rng(5);
  Case c{.log_probabilities = {}, .truth = {}, .classes = 2};
  for (int i = 0; i < 200; ++i) {
    // Sees something, and is too sure of it.
    const double p = 0.02 + 0.96 * rng.NextDouble();
    c.Add(p, rng.NextDouble() < 0.5 + 0.5 * (p - 0.5) ? 0 : 1);
  }
  const double best = FitTemperature(c.scores());
  const double loss = NegativeLogLikelihood(c.scores(), best);
  EXPECT_LE(loss, NegativeLogLikelihood(c.scores(), best * 1.01));
  EXPECT_LE(loss, NegativeLogLikelihood(c.scores(), best / 1.01));
  EXPECT_LE(loss, NegativeLogLikelihood(c.scores()));
}

TEST(Calibration, AModelThatIsAlwaysRightGetsTheBound) {
  Case c;
  c.Add(0.9, 0);
  EXPECT_EQ(FitTemperature(c.scores()), kMinTemperature);
  Case wrong;
  wrong.Add(0.9, 1);
  EXPECT_EQ(FitTemperature(wrong.scores()), kMaxTemperature);
}

TEST(Calibration, NoPicturesGiveZeros) {
  const Case c;
  EXPECT_EQ(ExpectedCalibrationError(c.scores()), 0);
  EXPECT_EQ(NegativeLogLikelihood(c.scores()), 0);
  EXPECT_EQ(FitTemperature(c.scores()), 1);
}

TEST(Scores, TellWhetherTheyAreNumbers) {
  Case c;
  c.Add(0.25, 0);
  EXPECT_TRUE(c.scores().AllFinite());
  EXPECT_EQ(c.scores().Predicted(0), 1);
  EXPECT_NEAR(c.scores().Loss(0), std::log(4), 1e-6);
  c.log_probabilities[1] = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(c.scores().AllFinite());
}

}  // namespace
}  // namespace mead
