// A range test's curve as rows of metrics.
#include <gtest/gtest.h>

#include <limits>

#include "common/base/range_test.h"
#include "coordinator/service/convert.h"
#include "coordinator/service/report_translator.h"
#include "coordinator/store/artifact_store.h"
#include "tests/support/temp_dir.h"

namespace mead::service {
namespace {

class LrRangeReportTest : public ::testing::Test {
 protected:
  LrRangeReportTest() {
    core::Trial& trial = state_.trials["s-0"];
    trial.id = "s-0";
    trial.attempt = 2;
    report_.set_sequence(7);
    report_.mutable_trial()->set_trial_id("s-0");
    report_.mutable_trial()->set_attempt(2);
  }

  void AddPoint(double lr, double loss, double smoothed_loss) {
    v1::LrRangePoint& point = *report_.mutable_lr_range()->add_points();
    point.set_lr(lr);
    point.set_loss(loss);
    point.set_smoothed_loss(smoothed_loss);
  }

  ReportTranslator::Result Translate() {
    auto artifacts = store::ArtifactStore::Open(dir_.path() / "artifacts");
    EXPECT_TRUE(artifacts.ok()) << artifacts.status();
    return ReportTranslator({"w", 1}, "instance", **artifacts).Translate(report_, state_, 99);
  }

  testing::TempDir dir_;
  core::ClusterState state_;
  v1::Report report_;
};

TEST_F(LrRangeReportTest, EachPointIsThreeRowsAndNoEvent) {
  AddPoint(1e-3, 2, 2.5);
  AddPoint(1e-2, 1, std::numeric_limits<double>::quiet_NaN());
  const ReportTranslator::Result result = Translate();
  EXPECT_FALSE(result.report.event.has_value());
  EXPECT_FALSE(result.abort.has_value());
  EXPECT_EQ(result.report.sequence, 7u);
  const std::vector<store::MetricRow>& rows = result.report.rows.metrics;
  ASSERT_EQ(rows.size(), 5u) << "what is no number is left out";
  const store::MetricRow expected{.trial_id = "s-0",
                                  .attempt = 2,
                                  .epoch = 1,
                                  .step = 1,
                                  .time_micros = 99,
                                  .name = kRangeSmoothedLoss,
                                  .value = 2.5};
  EXPECT_EQ(rows[2], expected);
  EXPECT_EQ(rows[3].name, kRangeLr);
  EXPECT_EQ(rows[3].step, 2);
  EXPECT_EQ(rows[4].value, 1);
}

TEST_F(LrRangeReportTest, ACurveHasAThousandPointsAtMost) {
  for (int i = 0; i <= kMaxRangeTestSteps; ++i) AddPoint(1e-3, 1, 1);
  EXPECT_EQ(Translate().report.rows.metrics.size(), 3u * kMaxRangeTestSteps);
}

TEST_F(LrRangeReportTest, ThatOfAnAttemptThatIsOverIsPassedOver) {
  AddPoint(1e-3, 2, 2.5);
  report_.mutable_trial()->set_attempt(1);
  EXPECT_TRUE(Translate().report.rows.empty());
}

TEST(LrRangeSpec, CountsAsOneEpoch) {
  v1::SweepSpec spec;
  spec.mutable_train()->set_epochs(12);
  EXPECT_EQ(ToCore(spec).epochs, 12);
  spec.mutable_train()->mutable_lr_range();
  EXPECT_EQ(ToCore(spec).epochs, 1);
}

}  // namespace
}  // namespace mead::service
