#include "worker/agent/outbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

namespace mead::agent {
namespace {

using ::testing::ElementsAre;

v1::Report Epoch(int epoch) {
  v1::Report report;
  report.mutable_epoch()->set_epoch(epoch);
  return report;
}
v1::Report Logs(size_t bytes) {
  v1::Report report;
  report.mutable_logs()->add_lines()->set_text(std::string(bytes, 'x'));
  return report;
}
v1::Report Progress(int step) {
  v1::Report report;
  report.mutable_progress()->set_step(step);
  return report;
}

// Everything that would be sent now, by sequence (progress: minus its step).
std::vector<int64_t> Drain(Outbox& outbox) {
  std::vector<int64_t> seen;
  while (auto report = outbox.Next(absl::ZeroDuration())) {
    seen.push_back(report->has_progress() ? -report->progress().step()
                                          : static_cast<int64_t>(report->sequence()));
  }
  return seen;
}

TEST(OutboxTest, SequencesCountFromOneAndEachReportIsSentOncePerStream) {
  Outbox outbox;
  EXPECT_EQ(outbox.Add(Epoch(1)), 1u);
  EXPECT_EQ(outbox.Add(Epoch(2)), 2u);
  EXPECT_THAT(Drain(outbox), ElementsAre(1, 2));
  EXPECT_THAT(Drain(outbox), ElementsAre());
}

TEST(OutboxTest, WhatIsNotAcknowledgedIsSentAgainInOrderAfterAReconnect) {
  Outbox outbox;
  for (int i = 1; i <= 4; ++i) outbox.Add(Epoch(i));
  EXPECT_THAT(Drain(outbox), ElementsAre(1, 2, 3, 4));
  outbox.Ack(1);
  outbox.Add(Epoch(5));
  outbox.Rewind(/*acked=*/2);
  EXPECT_THAT(Drain(outbox), ElementsAre(3, 4, 5));
  EXPECT_EQ(outbox.unacked(), 3u);
  EXPECT_TRUE(outbox.IsAcked(2));
  EXPECT_FALSE(outbox.IsAcked(3));
}

TEST(OutboxTest, AcknowledgementInTheMidstOfSendingSkipsNothing) {
  Outbox outbox;
  for (int i = 1; i <= 3; ++i) outbox.Add(Epoch(i));
  EXPECT_EQ(outbox.Next(absl::ZeroDuration())->sequence(), 1u);
  outbox.Ack(1);
  EXPECT_THAT(Drain(outbox), ElementsAre(2, 3));
  outbox.Ack(3);
  EXPECT_TRUE(outbox.WaitUntilAcked(absl::ZeroDuration()));
}

TEST(OutboxTest, ProgressDropsTheOldestAndNeverSurvivesABreak) {
  Outbox outbox({.max_progress = 2});
  for (int i = 1; i <= 3; ++i) outbox.AddProgress(Progress(i));
  outbox.Add(Epoch(1));
  EXPECT_THAT(Drain(outbox), ElementsAre(1, -2, -3));
  outbox.AddProgress(Progress(4));
  outbox.Rewind(0);
  EXPECT_THAT(Drain(outbox), ElementsAre(1));
}

TEST(OutboxTest, LogsAreRefusedBeyondTheirBoundUntilSomeAreAcknowledged) {
  Outbox outbox({.max_log_bytes = 1000});
  EXPECT_TRUE(outbox.AddLogs(Logs(400)));
  EXPECT_TRUE(outbox.AddLogs(Logs(400)));
  EXPECT_FALSE(outbox.AddLogs(Logs(400)));
  outbox.Add(Epoch(1));  // never refused
  outbox.Ack(2);
  EXPECT_TRUE(outbox.AddLogs(Logs(900)));
  EXPECT_EQ(outbox.unacked(), 2u);
}

TEST(OutboxTest, AReportWakesAWaitingSender) {
  Outbox outbox;
  std::jthread adder([&] { outbox.Add(Epoch(1)); });
  EXPECT_TRUE(outbox.Next(absl::Seconds(30)).has_value());
  std::jthread interrupter([&] { outbox.Interrupt(); });
  EXPECT_FALSE(outbox.Next(absl::Seconds(30)).has_value());
}

}  // namespace
}  // namespace mead::agent
