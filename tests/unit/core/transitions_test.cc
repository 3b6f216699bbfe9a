#include "coordinator/core/transitions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

namespace mead::core {
namespace {

TEST(Transitions, ArchitectureMdHoldsTheTablesAsTheyAre) {
  std::stringstream file;
  file << std::ifstream(MEAD_SOURCE_DIR "/ARCHITECTURE.md").rdbuf();
  EXPECT_THAT(file.str(), ::testing::HasSubstr(TransitionDiagram()))
      << "paste this into ARCHITECTURE.md:\n"
      << TransitionDiagram();
}

template <class State>
void ExpectNothingLeaves(std::span<const Transition<State>> table) {
  for (const auto& row : table) EXPECT_FALSE(HasEnded(row.from)) << row.cause;
}

TEST(Transitions, AnEndIsFinal) {
  ExpectNothingLeaves(kTrialTransitions);
  ExpectNothingLeaves(kSweepTransitions);
}

TEST(Transitions, EveryStateOfATrialIsReached) {
  for (TrialState state : {TrialState::kStarting, TrialState::kRunning, TrialState::kStopping,
                           TrialState::kSucceeded, TrialState::kFailed, TrialState::kStopped}) {
    EXPECT_TRUE(std::ranges::any_of(kTrialTransitions, [&](const auto& row) {
      return row.to == state;
    })) << Name(state);
  }
}

TEST(TransitionsDeathTest, AMoveThatIsNotInTheTableEndsTheProcess) {
  Trial trial;
  EXPECT_DEATH(Move(trial, TrialState::kSucceeded), "not in the transition table");
}

TEST(Transitions, ASlotThatBecomesIdleForgetsItsTrial) {
  Slot slot{SlotState::kBusy, {"s-0", 1}, 2};
  Move(slot, SlotState::kIdle);
  EXPECT_EQ(slot, Slot{});
}

}  // namespace
}  // namespace mead::core
