#include "worker/trainer/checkpoint_schedule.h"

#include <gtest/gtest.h>

#include <vector>

namespace mead::trainer {
namespace {

const absl::Time kStart = absl::UnixEpoch() + absl::Hours(1);

TEST(CheckpointSchedule, CountsTheStepsOfAnEpochWhateverWasDoneBefore) {
  CheckpointSchedule schedule(3, absl::ZeroDuration());
  schedule.StartEpoch(4, kStart);
  EXPECT_FALSE(schedule.DueAfter(5));
  EXPECT_TRUE(schedule.DueAfter(6));
  EXPECT_FALSE(CheckpointSchedule(0, absl::ZeroDuration()).DueAfter(6));
}

// Ranks that hear the answers ask at the same steps, and rank 0 is not asked at each.
TEST(CheckpointSchedule, WritesByTheClockAtMostASilenceLate) {
  CheckpointSchedule rank0(0, absl::Minutes(5));
  CheckpointSchedule rank1(0, absl::Minutes(5));
  rank0.Written(kStart);
  rank0.StartEpoch(0, kStart);
  rank1.StartEpoch(0, kStart + absl::Seconds(3));  // its own clock does not matter
  int asked = 0;
  std::vector<int64_t> written;
  for (int64_t step = 1; step <= 1000; ++step) {  // a second each
    const absl::Time now = kStart + absl::Seconds(step);
    ASSERT_EQ(rank0.AsksAfter(step), rank1.AsksAfter(step));
    if (!rank0.AsksAfter(step)) continue;
    ++asked;
    const CheckpointSchedule::Answer answer = rank0.Ask(step, now);
    rank0.Heard(step, answer);
    rank1.Heard(step, answer);
    if (!answer.write) continue;
    written.push_back(step);
    rank0.Written(now);
    rank1.Written(now);
  }
  ASSERT_EQ(written.size(), 3u);
  for (size_t i = 0; i < written.size(); ++i) {
    const int64_t due = (i == 0 ? 0 : written[i - 1]) + 300;
    EXPECT_GE(written[i], due);
    EXPECT_LE(written[i], due + 2);
  }
  EXPECT_LE(asked, 510);
}

// Ranks hear of one another's ends at the same steps as of checkpoints.
TEST(CheckpointSchedule, WithoutAClockItIsAskedAllTheSameAndWritesNothing) {
  CheckpointSchedule schedule(0, absl::ZeroDuration());
  schedule.Written(kStart);
  schedule.StartEpoch(0, kStart);
  ASSERT_TRUE(schedule.AsksAfter(1));
  const absl::Time later = kStart + absl::Hours(24);
  const CheckpointSchedule::Answer answer = schedule.Ask(86400 * 10, later);  // 0.1 s a step
  EXPECT_FALSE(answer.write);
  EXPECT_EQ(answer.steps_to_next, 20);
}

TEST(CheckpointSchedule, ALongStepIsAskedAfterEachTime) {
  CheckpointSchedule schedule(0, absl::Minutes(1));
  schedule.Written(kStart);
  schedule.StartEpoch(0, kStart);
  const CheckpointSchedule::Answer answer = schedule.Ask(1, kStart + absl::Seconds(45));
  EXPECT_FALSE(answer.write);
  EXPECT_EQ(answer.steps_to_next, 1);
}

}  // namespace
}  // namespace mead::trainer
