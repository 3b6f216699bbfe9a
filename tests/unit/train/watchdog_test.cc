// When the waiting for a device ends, and who is blamed: with a clock that the test moves.
#include "worker/train/comm/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "worker/train/comm/roster.h"

namespace mead::train {
namespace {

using std::chrono::milliseconds;
using ::testing::AllOf;
using ::testing::HasSubstr;
using Kind = Watchdog::Verdict::Kind;

constexpr milliseconds kTimeout{8000};
const Roster::Time kStart{std::chrono::seconds(100)};

Roster::Time At(int ms) { return kStart + milliseconds(ms); }

// Rank 0 of three, in its seventh step; the others are heard of until `ms` and begin
// as much as it does.
class WatchdogTest : public ::testing::Test {
 protected:
  void HearAll(int ms) {
    for (const int rank : {1, 2}) roster.Heard(rank, 7, At(ms));
  }
  Watchdog::Verdict Look(int ms, bool passed = false, const std::string& error = "") {
    return watchdog.Look({.passed = passed, .error = error, .progress = 7}, roster, At(ms));
  }

  Roster roster{0, 3, kStart};
  Watchdog watchdog{kTimeout, kStart};
};

TEST_F(WatchdogTest, GoesOnUntilTheWorkHasEnded) {
  HearAll(100);
  EXPECT_EQ(Look(0).kind, Kind::kGoOn);
  EXPECT_EQ(Look(100).kind, Kind::kGoOn);
  EXPECT_EQ(Look(200, /*passed=*/true).kind, Kind::kDone);
}

TEST_F(WatchdogTest, AStoppedProcessIsBlamedAfterTheTimeoutAndNotBefore) {
  roster.Heard(1, 7, At(100));
  roster.Heard(2, 7, At(7900));
  EXPECT_EQ(Look(7999).kind, Kind::kGoOn);
  const Watchdog::Verdict verdict = Look(8000);
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_EQ(verdict.rank, 1);
  EXPECT_THAT(verdict.why, AllOf(HasSubstr("waited 8000 ms in vain"),
                                 HasSubstr("rank 1 has given no sign of life for 7900 ms")));
}

TEST_F(WatchdogTest, ARankThatLivesAndDoesNotComeIsBlamedByItsProgress) {
  roster.Heard(1, 7, At(7900));
  roster.Heard(2, 5, At(7900));
  const Watchdog::Verdict verdict = Look(8000);
  EXPECT_EQ(verdict.rank, 2);
  EXPECT_THAT(verdict.why, HasSubstr("rank 2 is alive and has not come: it has begun 2 steps"));
}

TEST_F(WatchdogTest, NobodyIsBlamedWhereAllHaveCome) {
  HearAll(7900);
  const Watchdog::Verdict verdict = Look(8000);
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_EQ(verdict.rank, -1);
  EXPECT_THAT(verdict.why, HasSubstr("look at the GPUs and the network"));
}

TEST_F(WatchdogTest, AnEndedProcessIsBlamedOnceWhatItWasNeededForMustHaveEnded) {
  HearAll(100);
  roster.Ended(2, At(100));
  EXPECT_EQ(Look(1099).kind, Kind::kGoOn) << "it may have left after the last step";
  const Watchdog::Verdict verdict = Look(1100);
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_EQ(verdict.rank, 2);
  EXPECT_EQ(verdict.why, "the process of rank 2 has ended");
}

TEST_F(WatchdogTest, APeerThatLeavesAfterTheLastStepIsNoLoss) {
  roster.Ended(1, At(100));
  EXPECT_EQ(Look(150).kind, Kind::kGoOn);
  EXPECT_EQ(Look(200, /*passed=*/true).kind, Kind::kDone);
}

TEST_F(WatchdogTest, AnErrorOfTheTransportWaitsForAName) {
  HearAll(100);
  EXPECT_EQ(Look(100, false, "remote error").kind, Kind::kGoOn);
  roster.Ended(1, At(150));
  const Watchdog::Verdict verdict = Look(160, false, "remote error");
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_EQ(verdict.rank, 1);
  EXPECT_EQ(verdict.why, "remote error; the process of rank 1 has ended");
}

TEST_F(WatchdogTest, AnErrorThatNobodyExplainsIsNotKeptForLong) {
  HearAll(2000);
  EXPECT_EQ(Look(1000, false, "system error").kind, Kind::kGoOn);
  EXPECT_EQ(Look(1999, false, "system error").kind, Kind::kGoOn);
  const Watchdog::Verdict verdict = Look(2000, false, "system error");
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_EQ(verdict.rank, -1);
  EXPECT_THAT(verdict.why, HasSubstr("system error; every rank is alive"));
}

TEST_F(WatchdogTest, WorkThatEndedWithAnErrorIsNotDone) {
  EXPECT_EQ(Look(0, /*passed=*/true, "remote error").kind, Kind::kGoOn);
}

TEST_F(WatchdogTest, WhoGaveUpFirstIsBelievedBeforeItsOwnEndIsSeen) {
  roster.Accuse({.rank = 2, .by = 1});
  roster.Ended(1, At(100));
  const Watchdog::Verdict verdict = Look(100);
  EXPECT_EQ(verdict.kind, Kind::kLost);
  EXPECT_EQ(verdict.rank, 2);
  EXPECT_EQ(verdict.why, "rank 1 gave up because of rank 2");
}

TEST(WatchdogGrace, IsASecondOrAQuarterOfAShortTimeout) {
  EXPECT_EQ(Watchdog::Grace(std::chrono::seconds(60)), milliseconds(1000));
  EXPECT_EQ(Watchdog::Grace(std::chrono::seconds(2)), milliseconds(500));
}

// --- the roster ------------------------------------------------------------------------

// Rank 2 hears of rank 1 through rank 0 alone.
TEST(Roster, SilenceOfTheRankThatTellsOfAllIsItsOwn) {
  Roster roster(2, 3, kStart);
  roster.Heard(0, 7, At(1000));
  roster.Heard(1, 7, At(900));
  EXPECT_EQ(roster.Blame(At(9000), milliseconds(4000), 7).rank, 0);
  roster.Heard(0, 7, At(8900));
  EXPECT_EQ(roster.Blame(At(9000), milliseconds(4000), 7).rank, 1);
}

TEST(Roster, NewsThatComeLateChangeNothing) {
  Roster roster(0, 2, kStart);
  roster.Heard(1, 5, At(500));
  roster.Heard(1, 3, At(400));
  EXPECT_EQ(roster.entry(1).progress, 5);
  EXPECT_EQ(roster.entry(1).heard, At(500));
  roster.Ended(1, At(600));
  roster.Ended(1, At(700));
  roster.Heard(1, 9, At(800));
  EXPECT_EQ(roster.entry(1).ended, At(600));
  EXPECT_EQ(roster.entry(1).progress, 5);
}

TEST(Roster, KnowsNothingBadOfItselfNorOfRanksThatAreNot) {
  Roster roster(1, 2, kStart);
  roster.Ended(1, At(1));
  roster.Ended(2, At(1));
  roster.Ended(-1, At(1));
  EXPECT_FALSE(roster.EndedBy(At(10)).has_value());
}

TEST(Roster, TheFirstAccusationIsBelieved) {
  Roster roster(0, 3, kStart);
  roster.Accuse({.rank = 1, .by = 2});
  roster.Accuse({.rank = 2, .by = 0});
  EXPECT_EQ(roster.accusation()->rank, 1);
  EXPECT_EQ(roster.accusation()->by, 2);
}

}  // namespace
}  // namespace mead::train
