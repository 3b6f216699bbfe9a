#include "coordinator/service/checkpoint_janitor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "mead/v1/sweep.pb.h"

namespace mead::service {
namespace {

using ::testing::ElementsAre;

TEST(CheckpointJanitorTest, WhatATrialOrASweepRefersToIsKept) {
  core::ClusterState state;
  state.trials["a"].latest.digest = "latest";
  state.trials["b"].best.digest = "best";
  state.trials["a"].latest_predictions.digest = "latest predictions";
  state.trials["b"].best_predictions.digest = "best predictions";
  v1::SweepSpec spec;
  spec.mutable_train()->set_weights_artifact("weights");
  state.sweeps["s"].spec.encoded = spec.SerializeAsString();
  EXPECT_THAT(Unreferenced(state, {"old", "latest", "best", "weights", "", "old",
                                   "latest predictions", "best predictions"}),
              ElementsAre("old"));
}

TEST(CheckpointJanitorTest, NothingIsRemovedWhileReferencesAreUnreadable) {
  core::ClusterState state;
  state.sweeps["s"].spec.encoded = "\xff not a message";
  EXPECT_THAT(Unreferenced(state, {"old"}), ElementsAre());
}

}  // namespace
}  // namespace mead::service
