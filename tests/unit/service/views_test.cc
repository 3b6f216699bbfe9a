#include "coordinator/service/views.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace mead::service {
namespace {

v1::Progress Halfway(int epoch) {
  v1::Progress progress;
  progress.set_epoch(epoch);
  progress.set_step(50);
  progress.set_steps_per_epoch(100);
  progress.set_images_per_second(200);
  return progress;
}

TEST(ViewsTest, TheEpochUnderWayCountsByItsSteps) {
  const v1::Progress second = Halfway(2);
  EXPECT_DOUBLE_EQ(FractionDone(1, 4, &second), 1.5 / 4);
  EXPECT_DOUBLE_EQ(FractionDone(2, 4, &second), 0.5) << "that epoch has been reported since";
  EXPECT_DOUBLE_EQ(FractionDone(0, 4, nullptr), 0);
  EXPECT_DOUBLE_EQ(FractionDone(1, 0, nullptr), 0);
}

TEST(ViewsTest, TimeLeftIsTheRestOfTheImagesAtTheCurrentRate) {
  // Half of 4 epochs of 1,000 images at 200 a second.
  EXPECT_EQ(TimeLeft(0.5, 4, 1000, Halfway(3)), absl::Seconds(10));
  v1::Progress idle;
  EXPECT_EQ(TimeLeft(0.5, 4, 1000, idle), absl::InfiniteDuration());
}

TEST(ViewsTest, TrialsThatTheSearchHasYetToMakeCountAsQueued) {
  core::ClusterState state;
  core::Sweep& sweep = state.sweeps["s"];
  sweep.id = "s";
  sweep.total_trials = 10;
  const core::TrialState states[] = {core::TrialState::kSucceeded, core::TrialState::kRunning,
                                     core::TrialState::kQueued, core::TrialState::kFailed};
  for (int i = 0; i < 4; ++i) {
    const std::string id = absl::StrCat("s-", i);
    state.trials[id].state = states[i];
    sweep.trial_ids.push_back(id);
  }
  v1::Sweep view = SweepView(state, sweep);
  EXPECT_EQ(view.trials_total(), 10);
  EXPECT_EQ(view.trials_queued(), 7);
  EXPECT_EQ(view.trials_running(), 1);
  EXPECT_EQ(view.trials_succeeded(), 1);
  EXPECT_EQ(view.trials_failed(), 1);
  sweep.state = core::SweepState::kStopped;
  view = SweepView(state, sweep);
  EXPECT_EQ(view.trials_total(), 4) << "what was never made never will be";
}

}  // namespace
}  // namespace mead::service
