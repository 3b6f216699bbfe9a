#include "coordinator/service/checkpoint_janitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "mead/v1/sweep.pb.h"

namespace mead::service {
namespace {

using ::testing::ElementsAre;

TEST(CheckpointJanitorTest, WhatATrialOrASweepRefersToIsKept) {
  core::ClusterState state;
  state.trials["a"].latest.digest = "latest";
  state.trials["b"].best.digest = "best";
  state.trials["b"].older = {{1, "older", 5}};
  state.trials["a"].latest_predictions.digest = "latest predictions";
  state.trials["b"].best_predictions.digest = "best predictions";
  v1::SweepSpec spec;
  spec.mutable_train()->set_weights_artifact("weights");
  state.sweeps["s"].spec.encoded = spec.SerializeAsString();
  EXPECT_THAT(Unreferenced(state, {"old", "latest", "older", "best", "weights", "", "old",
                                   "latest predictions", "best predictions"}),
              ElementsAre("old"));
}

TEST(CheckpointJanitorTest, NothingIsRemovedWhileReferencesAreUnreadable) {
  core::ClusterState state;
  state.sweeps["s"].spec.encoded = "\xff not a message";
  EXPECT_THAT(Unreferenced(state, {"old"}), ElementsAre());
}

// Ended long ago, ended, and running; 10 bytes each.
core::ClusterState ThreeTrials() {
  core::ClusterState state;
  const auto add = [&](const std::string& id, core::TimeMicros end) {
    core::Trial& trial = state.trials[id];
    trial.older = {{1, id + "1", 10}, {2, id + "2", 10}};
    trial.best = trial.older[0];
    trial.latest = {3, id + "3", 10};
    trial.end_time = end;
  };
  add("new", 200);
  add("old", 100);
  add("runs", 0);
  return state;
}

TEST(CheckpointJanitorTest, BeyondTheQuotaTheOldestTrialsGoFirstAndTheBestNever) {
  const core::ClusterState state = ThreeTrials();
  EXPECT_THAT(OverQuota(state, 90).digests, ElementsAre());
  EXPECT_EQ(OverQuota(state, 90).left_bytes, 90u);
  EXPECT_THAT(OverQuota(state, 89).digests, ElementsAre("old2"));
  EXPECT_THAT(OverQuota(state, 60).digests, ElementsAre("old2", "old3", "new2"));
  const Excess most = OverQuota(state, 1);
  EXPECT_THAT(most.digests, ElementsAre("old2", "old3", "new2", "new3", "runs2"));
  EXPECT_EQ(most.freed_bytes, 50u);
  EXPECT_EQ(most.left_bytes, 40u) << "the trials' best, and what the running one goes on from";
}

}  // namespace
}  // namespace mead::service
