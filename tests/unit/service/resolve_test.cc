#include "coordinator/service/resolve.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace mead::service {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

core::ClusterState StateOfThreeSweeps() {
  core::ClusterState state;
  for (const char* id : {"sab123", "sab456", "sxy789"}) {
    core::Sweep sweep;
    sweep.id = id;
    for (int i = 0; i < 12; ++i) {
      core::Trial trial;
      trial.id = absl::StrCat(id, "-", i);
      trial.sweep_id = id;
      sweep.trial_ids.push_back(trial.id);
      state.trials[trial.id] = trial;
    }
    state.sweeps[id] = sweep;
  }
  state.sweeps["sxy789"].best_trial_id = "sxy789-7";
  return state;
}

TEST(ResolveTest, AUniquePrefixIsEnough) {
  const core::ClusterState state = StateOfThreeSweeps();
  ASSERT_TRUE(FindSweep(state, "sx").ok());
  EXPECT_EQ((*FindSweep(state, "sx"))->id, "sxy789");
  EXPECT_EQ((*FindSweep(state, "sab1"))->id, "sab123");
}

TEST(ResolveTest, AnAmbiguousPrefixNamesWhatItFits) {
  const core::ClusterState state = StateOfThreeSweeps();
  const absl::Status status = FindSweep(state, "sab").status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("sab123"), HasSubstr("sab456")));
  EXPECT_TRUE(absl::IsInvalidArgument(FindTrial(state, "sab").status()));
}

TEST(ResolveTest, AnUnknownIdNamesANearOne) {
  const core::ClusterState state = StateOfThreeSweeps();
  const absl::Status status = FindSweep(state, "sxy798").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("did you mean sxy789"));
  EXPECT_TRUE(absl::IsInvalidArgument(FindSweep(state, "").status()));
}

TEST(ResolveTest, ATrialIsFoundByItsIdEvenIfOthersBeginWithIt) {
  const core::ClusterState state = StateOfThreeSweeps();
  EXPECT_EQ((*FindTrial(state, "sab123-1"))->id, "sab123-1") << "not -10 or -11";
  EXPECT_EQ((*FindTrial(state, "sx-3"))->id, "sxy789-3") << "the sweep's part may be short";
}

TEST(ResolveTest, ASweepsIdMeansItsBestTrial) {
  const core::ClusterState state = StateOfThreeSweeps();
  EXPECT_EQ((*FindTrial(state, "sxy"))->id, "sxy789-7");
  const absl::Status status = FindTrial(state, "sab1").status();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no best trial yet"));
}

}  // namespace
}  // namespace mead::service
