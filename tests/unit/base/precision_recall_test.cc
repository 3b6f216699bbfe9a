#include "common/base/precision_recall.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace mead {
namespace {

std::vector<float> Logs(const std::vector<double>& p_of_first) {
  std::vector<float> values;
  for (const double p : p_of_first) {
    values.push_back(static_cast<float>(std::log(p)));
    values.push_back(static_cast<float>(std::log(1 - p)));
  }
  return values;
}

// The example of scikit-learn's documentation: scores 0.1 0.4 0.35 0.8, labels 0 0 1 1.
TEST(PrecisionRecall, GivesScikitLearnsExample) {
  const std::vector<float> values = Logs({0.1, 0.4, 0.35, 0.8});
  const std::vector<int32_t> truth = {1, 1, 0, 0};
  const auto curve = PrecisionRecallCurve({values, truth, 2}, 0);
  ASSERT_EQ(curve.size(), 4u);
  EXPECT_NEAR(curve[0].threshold, 0.8, 1e-6);
  EXPECT_EQ(curve[0].precision, 1);
  EXPECT_EQ(curve[0].recall, 0.5);
  EXPECT_EQ(curve[1].precision, 0.5);
  EXPECT_NEAR(curve[2].precision, 2.0 / 3, 1e-12);
  EXPECT_EQ(curve[2].recall, 1);
  EXPECT_EQ(curve[3].false_positives, 2);
  EXPECT_NEAR(AveragePrecision(curve), 0.8333333333, 1e-9);
}

TEST(PrecisionRecall, EqualProbabilitiesStandOrFallTogether) {
  const std::vector<float> values = Logs({0.5, 0.5, 0.5});
  const std::vector<int32_t> truth = {0, 1, 0};
  const auto curve = PrecisionRecallCurve({values, truth, 2}, 0);
  ASSERT_EQ(curve.size(), 1u);
  EXPECT_EQ(curve[0].true_positives, 2);
  EXPECT_NEAR(AveragePrecision(curve), 2.0 / 3, 1e-12);
}

TEST(PrecisionRecall, AClassWithoutPicturesHasNoRecall) {
  const std::vector<float> values = Logs({0.3, 0.6});
  const std::vector<int32_t> truth = {1, 1};
  EXPECT_EQ(AveragePrecision(PrecisionRecallCurve({values, truth, 2}, 0)), 0);
  EXPECT_EQ(AveragePrecision(PrecisionRecallCurve({{}, {}, 2}, 0)), 0);
}

}  // namespace
}  // namespace mead
