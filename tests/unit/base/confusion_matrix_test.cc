#include "common/base/confusion_matrix.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "common/base/classification_metrics.h"
#include "common/base/rng.h"

namespace mead {
namespace {

using ::testing::ElementsAre;
using ::testing::Pointwise;

ConfusionMatrix FromRows(int classes, std::vector<int64_t> counts) {
  auto matrix = ConfusionMatrix::FromCounts(classes, std::move(counts));
  EXPECT_TRUE(matrix.has_value());
  return *matrix;
}

TEST(ConfusionMatrix, RowsAreTrueClassesAndColumnsPredictedOnes) {
  ConfusionMatrix matrix(3);
  const std::vector<int32_t> truth{0, 0, 1, 2, 2}, predicted{0, 2, 1, 0, 2};
  ASSERT_TRUE(matrix.Add(truth, predicted).ok());
  EXPECT_THAT(matrix.counts(), ElementsAre(1, 0, 1, 0, 1, 0, 1, 0, 1));
  EXPECT_EQ(matrix.at(0, 2), 1);
  EXPECT_EQ(matrix.total(), 5);
}

TEST(ConfusionMatrix, BadInputIsNamedAndNothingIsCounted) {
  ConfusionMatrix matrix(2);
  const std::vector<int32_t> one{0}, two{0, 1}, negative{1, -1}, large{2, 0};
  EXPECT_EQ(matrix.Add(one, two).code, AddResult::Code::kLengthMismatch);
  const AddResult bad_truth = matrix.Add(negative, two);
  EXPECT_EQ(bad_truth.code, AddResult::Code::kOutOfRange);
  EXPECT_EQ(bad_truth.index, 1u);
  EXPECT_EQ(matrix.Add(two, large).index, 0u);
  EXPECT_EQ(matrix.total(), 0);
}

TEST(ConfusionMatrix, TheSumOverRanksEqualsTheSingleProcessOne) {
  Rng rng(4);
  ConfusionMatrix whole(8), merged(8);
  for (int rank = 0; rank < 4; ++rank) {
    std::vector<int32_t> truth, predicted;
    for (int i = 0; i < 100; ++i) {
      truth.push_back(static_cast<int32_t>(rng.Below(8)));
      predicted.push_back(static_cast<int32_t>(rng.Below(8)));
    }
    ConfusionMatrix part(8);
    ASSERT_TRUE(part.Add(truth, predicted).ok());
    ASSERT_TRUE(whole.Add(truth, predicted).ok());
    merged.Merge(part);
  }
  EXPECT_EQ(merged, whole);
}

TEST(ConfusionMatrix, FromCountsRefusesWhatIsNoMatrix) {
  EXPECT_FALSE(ConfusionMatrix::FromCounts(2, {1, 2, 3}).has_value());
  EXPECT_FALSE(ConfusionMatrix::FromCounts(2, {1, 2, 3, -1}).has_value());
  EXPECT_FALSE(ConfusionMatrix::FromCounts(0, {}).has_value());
}

std::vector<double> Column(const ClassificationMetrics& metrics, double ClassMetrics::*figure) {
  std::vector<double> values;
  for (const ClassMetrics& of_class : metrics.classes) values.push_back(of_class.*figure);
  return values;
}

MATCHER(NearlyEqual, "") { return std::abs(std::get<0>(arg) - std::get<1>(arg)) < 1e-12; }

// The expected numbers are scikit-learn 1.9's: with t and p the samples behind
// the counts, accuracy_score, balanced_accuracy_score, f1_score(average="macro",
// labels=range(4), zero_division=0), matthews_corrcoef(t, p) for r_k and the mean
// of matthews_corrcoef(t == c, p == c) for mcc.
TEST(ClassificationMetrics, EqualScikitLearnsOnKvasirLikeCounts) {
  const auto metrics =
      ComputeMetrics(FromRows(4, {64, 34, 0, 2, 21, 79, 0, 0, 1, 0, 97, 2, 0, 5, 3, 92}));
  EXPECT_NEAR(metrics.accuracy, 0.83, 1e-12);
  EXPECT_NEAR(metrics.balanced_accuracy, 0.83, 1e-12);
  EXPECT_NEAR(metrics.macro_f1, 0.830429548854167, 1e-12);
  EXPECT_NEAR(metrics.mcc, 0.775799934340959, 1e-12);
  EXPECT_NEAR(metrics.r_k, 0.775066251887293, 1e-12);
  const auto expect = [&](double ClassMetrics::*figure, std::vector<double> expected) {
    EXPECT_THAT(Column(metrics, figure), Pointwise(NearlyEqual(), expected));
  };
  expect(&ClassMetrics::recall, {0.64, 0.79, 0.97, 0.92});
  expect(&ClassMetrics::precision, {0.744186046511628, 0.669491525423729, 0.97, 0.958333333333333});
  expect(&ClassMetrics::specificity, {0.926666666666667, 0.87, 0.99, 0.986666666666667});
  expect(&ClassMetrics::f1, {0.688172043010753, 0.724770642201835, 0.97, 0.938775510204082});
  expect(&ClassMetrics::mcc, {0.597274872642695, 0.626670144980155, 0.96, 0.919254719740988});
  EXPECT_EQ(metrics.classes[3].support, 100);
}

TEST(ClassificationMetrics, EqualScikitLearnsWhenAClassHasNoSamples) {
  const auto metrics =
      ComputeMetrics(FromRows(4, {5, 1, 0, 0, 2, 7, 1, 1, 0, 3, 4, 0, 0, 0, 0, 0}));
  EXPECT_NEAR(metrics.accuracy, 0.666666666666667, 1e-12);
  EXPECT_NEAR(metrics.balanced_accuracy, 0.68037518037518, 1e-12);
  EXPECT_NEAR(metrics.macro_f1, 0.518065268065268, 1e-12);
  EXPECT_NEAR(metrics.mcc, 0.397604276510286, 1e-12);
  EXPECT_NEAR(metrics.r_k, 0.496044094768278, 1e-12);
  EXPECT_NEAR(metrics.classes[3].specificity, 0.958333333333333, 1e-12);
  EXPECT_EQ(metrics.classes[3].recall, 0);
  EXPECT_EQ(metrics.classes[3].precision, 0);
  EXPECT_EQ(metrics.classes[3].support, 0);
}

TEST(ClassificationMetrics, AreZeroNotNanWithoutSamplesOrSpread) {
  const auto empty = ComputeMetrics(ConfusionMatrix(3));
  EXPECT_EQ(empty.accuracy, 0);
  EXPECT_EQ(empty.balanced_accuracy, 0);
  EXPECT_EQ(empty.r_k, 0);
  const auto one_answer = ComputeMetrics(FromRows(2, {5, 0, 5, 0}));
  EXPECT_EQ(one_answer.accuracy, 0.5);
  EXPECT_EQ(one_answer.r_k, 0);
  EXPECT_EQ(one_answer.mcc, 0);
}

TEST(ClassificationMetrics, ArePerfectForAPerfectClassifier) {
  const auto metrics = ComputeMetrics(FromRows(3, {7, 0, 0, 0, 9, 0, 0, 0, 1}));
  for (double value :
       {metrics.accuracy, metrics.balanced_accuracy, metrics.macro_f1, metrics.mcc, metrics.r_k}) {
    EXPECT_NEAR(value, 1, 1e-12);
  }
}

// Source: scipy.stats.binomtest(k, n).proportion_ci(0.95, "wilson").
TEST(WilsonInterval, EqualsScipys) {
  constexpr double kZ = 1.959963984540054;
  const Interval most = WilsonInterval(89, 100, kZ);
  EXPECT_NEAR(most.low, 0.8136870349691969, 1e-12);
  EXPECT_NEAR(most.high, 0.9374580364293543, 1e-12);
  const Interval none = WilsonInterval(0, 20, kZ);
  EXPECT_NEAR(none.low, 0, 1e-12);
  EXPECT_NEAR(none.high, 0.16112515805281935, 1e-12);
  const Interval all = WilsonInterval(20, 20, kZ);
  EXPECT_NEAR(all.low, 0.8388748419471808, 1e-12);
  EXPECT_NEAR(all.high, 1, 1e-12);
  EXPECT_EQ(WilsonInterval(0, 0).low, 0);
  EXPECT_EQ(WilsonInterval(0, 0).high, 1);
}

}  // namespace
}  // namespace mead
