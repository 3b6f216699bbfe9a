#include "common/base/sample_ledger.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

namespace mead {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kSteps = 7;  // of 50 samples in batches of 8

EpochPlan PlanFor(uint32_t ranks, uint64_t first_step = 0) {
  return EpochPlan({.num_samples = 50,
                    .seed = 3,
                    .epoch = 2,
                    .batch_size = 8,
                    .world_size = ranks,
                    .first_step = first_step});
}

// What an attempt of a gang writes down of the steps [begin, end).
LedgerEntry Trained(int attempt, uint32_t ranks, uint64_t begin, uint64_t end) {
  const EpochPlan plan = PlanFor(ranks, begin);
  std::vector<int64_t> sums(5);
  for (uint32_t rank = 0; rank < ranks; ++rank) {
    SampleTally tally;
    for (uint64_t step = begin; step < end; ++step) tally.Feed(step, plan.Slice(step, rank));
    const std::vector<int64_t> parts = tally.Parts();
    for (size_t i = 0; i < sums.size(); ++i) sums[i] += parts[i];
  }
  return SampleTally::FromParts(sums, attempt, begin, end);
}

TEST(SampleLedger, AttemptsOfAnyNumbersOfRanksMakeUpAnEpoch) {
  const std::vector<LedgerEntry> ledger = {Trained(1, 2, 0, 3), Trained(3, 1, 3, 4),
                                           Trained(4, 3, 4, kSteps)};
  EXPECT_EQ(CheckLedger(PlanFor(2), ledger, kSteps), "");
  EXPECT_EQ(CheckLedger(PlanFor(2), std::span(ledger).first(2), 4), "");
  EXPECT_EQ(CheckLedger(PlanFor(2), {}, 0), "");
}

TEST(SampleLedger, AGapOrARepetitionIsNamed) {
  const LedgerEntry first = Trained(1, 2, 0, 3);
  EXPECT_THAT(CheckLedger(PlanFor(1), std::vector{first, Trained(2, 2, 4, kSteps)}, kSteps),
              HasSubstr("attempt 2 trained steps 4 to 7, where steps 3 to 7 were to be done"));
  EXPECT_THAT(CheckLedger(PlanFor(1), std::vector{first, Trained(2, 2, 2, kSteps)}, kSteps),
              HasSubstr("attempt 2 trained steps 2 to 7, where steps 3 to 7"));
  EXPECT_THAT(CheckLedger(PlanFor(1), std::vector{first}, kSteps),
              HasSubstr("steps 3 to 7 are in no entry"));
  EXPECT_THAT(CheckLedger(PlanFor(1), std::vector{first}, kSteps + 1), HasSubstr("has 7"));
}

// Every way in which pictures can be other than planned.
TEST(SampleLedger, OtherPicturesThanPlannedAreNoticed) {
  const EpochPlan plan = PlanFor(1);
  const auto complaint = [&](const std::function<void(SampleTally&)>& feed) {
    SampleTally tally;
    feed(tally);
    return CheckLedger(plan, std::vector{SampleTally::FromParts(tally.Parts(), 5, 0, 2)}, 2);
  };
  const auto first = plan.Batch(0);
  const auto second = plan.Batch(1);
  EXPECT_EQ(complaint([&](SampleTally& tally) {
              tally.Feed(1, second);  // in any order
              tally.Feed(0, first);
            }),
            "");
  EXPECT_THAT(complaint([&](SampleTally& tally) { tally.Feed(0, first); }),
              HasSubstr("attempt 5 fed 8 pictures to steps 0 to 2, which have 16"));
  EXPECT_THAT(complaint([&](SampleTally& tally) {
                tally.Feed(0, first);
                tally.Feed(1, first);
              }),
              HasSubstr("fed other pictures"));
  EXPECT_THAT(complaint([&](SampleTally& tally) {
                tally.Feed(0, second);
                tally.Feed(1, first);
              }),
              HasSubstr("fed other pictures"));
}

TEST(SampleLedger, ComesBackFromItsText) {
  const std::vector<LedgerEntry> ledger = {Trained(1, 2, 0, 3), Trained(12, 1, 3, kSteps)};
  EXPECT_EQ(LedgerFromText(LedgerText(ledger)), ledger);
  EXPECT_EQ(LedgerFromText(""), std::vector<LedgerEntry>());
  for (const char* bad : {"1", "1:2:3:4:5", "1:2:3:4:5:x", "1:2:3:4:5:6;", "1:2:3:4:5:6 ", ";"}) {
    EXPECT_EQ(LedgerFromText(bad), std::nullopt) << bad;
  }
}

TEST(SampleLedger, TheRestOfAnEpochHasADigestOfItsOwn) {
  EXPECT_EQ(PlanFor(2, 0).Digest(), PlanFor(2).Digest());
  EXPECT_NE(PlanFor(2, 1).Digest(), PlanFor(2).Digest());
  EXPECT_NE(PlanFor(2, 1).Digest(), PlanFor(2, 2).Digest());
  EXPECT_EQ(PlanFor(2, 3).steps(), kSteps);
}

}  // namespace
}  // namespace mead
