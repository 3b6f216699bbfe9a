#include "coordinator/service/live_progress.h"

#include <gtest/gtest.h>

namespace mead::service {
namespace {

v1::Progress AtStep(int64_t step) {
  v1::Progress progress;
  progress.set_step(step);
  return progress;
}

TEST(LiveProgressTest, AnOlderAttemptNeverReplacesANewerOne) {
  LiveProgress live;
  live.SetProgress({"t", 2}, AtStep(5));
  live.SetProgress({"t", 1}, AtStep(99));
  EXPECT_EQ(live.GetProgress({"t", 2})->step(), 5);
  EXPECT_FALSE(live.GetProgress({"t", 1}).has_value());
}

TEST(LiveProgressTest, MetricsReadBackNeverReplaceReportedOnes) {
  LiveProgress live;
  live.SetLastMetrics("t", {{"val/loss", 0.5}});
  const uint64_t version = live.version();
  live.RememberLastMetrics("t", {{"val/loss", 0.9}});
  EXPECT_DOUBLE_EQ(live.GetLastMetrics("t")->at("val/loss"), 0.5);
  EXPECT_EQ(live.version(), version) << "reading is no news";
}

TEST(LiveProgressTest, AnEndedAttemptHasNoProgressButKeepsItsMetrics) {
  LiveProgress live;
  live.SetProgress({"t", 1}, AtStep(5));
  live.SetLastMetrics("t", {{"val/loss", 0.5}});
  live.Forget("t");
  EXPECT_FALSE(live.GetProgress({"t", 1}).has_value());
  EXPECT_TRUE(live.GetLastMetrics("t").has_value());
}

}  // namespace
}  // namespace mead::service
