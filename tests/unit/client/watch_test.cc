#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

template <typename Message>
Message FromText(const std::string& text) {
  Message message;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &message)) << text;
  return message;
}

mead::v1::WatchSweepResponse Running() {
  return FromText<mead::v1::WatchSweepResponse>(R"(
    sweep { id: "swp-1" spec { name: "demo" } state: SWEEP_STATE_RUNNING
            trials_total: 2 trials_queued: 1 trials_running: 1 }
    trials { id: "swp-1-0" state: TRIAL_STATE_RUNNING attempt: 1 epochs_done: 1 epochs_total: 3
             params { path: "optimizer.lr" value { number: 0.05 } }
             progress { epoch: 2 step: 5 steps_per_epoch: 10 train_loss: 0.51
                        images_per_second: 120.4 phase: "train" }
             last_metrics { key: "val/accuracy" value: 0.75 }
             eta { seconds: 75 } best_value: 0.75 best_epoch: 1 }
    trials { id: "swp-1-1" state: TRIAL_STATE_QUEUED epochs_total: 3
             params { path: "optimizer.lr" value { number: 0.001 } } })");
}

mead::v1::WatchSweepResponse Ended() {
  return FromText<mead::v1::WatchSweepResponse>(R"(
    sweep { id: "swp-1" spec { name: "demo" } state: SWEEP_STATE_SUCCEEDED
            trials_total: 2 trials_succeeded: 1 trials_failed: 1
            best_trial_id: "swp-1-0" best_value: 0.9 }
    trials { id: "swp-1-0" state: TRIAL_STATE_SUCCEEDED attempt: 2 epochs_done: 3 epochs_total: 3
             params { path: "optimizer.lr" value { number: 0.05 } }
             last_metrics { key: "val/accuracy" value: 0.875 }
             last_metrics { key: "train/loss" value: 0.25 }
             best_value: 0.9 best_epoch: 2
             best_checkpoint { epoch: 2 path: "/d/artifacts/ab" } }
    trials { id: "swp-1-1" state: TRIAL_STATE_FAILED attempt: 1 epochs_total: 3
             message: "the loss is not a number"
             params { path: "optimizer.lr" value { number: 10 } } })");
}

class WatchTest : public ::testing::Test {
 protected:
  WatchTest() { home_.Set("MEAD_SERVER", server_.address()); }
  FakeServer server_;
  ClientHome home_;
};

TEST_F(WatchTest, ShowsTheTrainingAccuracyOfTheEpochUnderWay) {
  mead::v1::WatchSweepResponse running = Running();
  running.mutable_trials(0)->mutable_progress()->set_train_accuracy(0.8125);
  server_.state().watch = {running, Ended()};
  const ClientResult result = home_.Run({"watch", "swp-1"});
  EXPECT_THAT(result.out, HasSubstr("loss 0.5100  train accuracy 0.8125  accuracy 0.7500"));
  EXPECT_THAT(result.out, Not(HasSubstr("TRAIN ACC"))) << "in the end nothing trains";
  *server_.state().sweeps["swp-1"].mutable_sweep() = running.sweep();
  *server_.state().sweeps["swp-1"].mutable_trials() = running.trials();
  EXPECT_THAT(home_.Run({"describe", "swp-1"}).out,
              HasSubstr("IMAGES/S    LOSS  TRAIN ACC  ACCURACY"));
}

TEST_F(WatchTest, PrintsAConfigurationWhenItsLastFoldHasEnded) {
  mead::v1::WatchSweepResponse running = Running();
  running.mutable_sweep()->mutable_spec()->mutable_search()->set_folds(2);
  running.mutable_sweep()->mutable_spec()->mutable_objective()->set_metric("val/accuracy");
  mead::v1::Configuration& one = *running.add_configurations();
  one.set_state(mead::v1::TRIAL_STATE_RUNNING);
  mead::v1::WatchSweepResponse ended = Ended();
  *ended.mutable_sweep()->mutable_spec() = running.sweep().spec();
  *ended.add_configurations() = FromText<mead::v1::Configuration>(
      "state: TRIAL_STATE_SUCCEEDED folds_succeeded: 2 mean: 0.9 standard_deviation: 0.02");
  server_.state().watch = {running, running, ended};
  const std::string out = home_.Run({"watch", "swp-1"}).out;
  EXPECT_THAT(out, HasSubstr("configuration 0  succeeded  val/accuracy 0.9000 +- 0.0200 over 2 "
                             "folds\n"));
  EXPECT_THAT(out, Not(HasSubstr("configuration 0  running")));
}

TEST_F(WatchTest, InAPipePrintsChangesThenTheSummary) {
  server_.state().watch = {Running(), Running(), Ended()};
  const ClientResult result = home_.Run({"watch", "swp-1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(
      result.out,
      "sweep swp-1 (demo): running, 0 of 2 trials done, 1 running, 1 queued\n"
      "swp-1-0  running  epoch 2/3  train 5/10  images/s 120.4  loss 0.5100  accuracy 0.7500  eta "
      "1 min 15 s\n"
      "sweep swp-1 (demo): succeeded, 2 of 2 trials done, 1 failed\n"
      "swp-1-0  succeeded  epoch 3/3  loss 0.2500  accuracy 0.8750  attempt 2\n"
      "swp-1-1  failed  epoch 0/3  (the loss is not a number)\n"
      "\n"
      "sweep swp-1 (demo): succeeded, 2 of 2 trials done, 1 failed\n"
      "\n"
      "TRIAL    STATE      EPOCH  IMAGES/S    LOSS  ACCURACY  ETA  BEST val/accuracy  PARAMETERS\n"
      "swp-1-0  succeeded    3/3            0.2500    0.8750             0.9000 @2 *  lr=0.05  "
      "attempt 2\n"
      "swp-1-1  failed       0/3                                                      lr=10  (the "
      "loss is not a number)\n"
      "\n"
      "best trial  swp-1-0  0.9000 at epoch 2\n"
      "checkpoint  /d/artifacts/ab\n"
      "look at it  mead confusion swp-1-0\n"
      "\n"
      "swp-1-1 failed: the loss is not a number\n"
      "  its log: mead logs swp-1-1\n");
}

TEST_F(WatchTest, OnATerminalTheTableIsDrawnInPlace) {
  server_.state().watch = {Running(), Ended()};
  const ClientResult result = home_.Run({"watch", "swp-1"}, /*tty=*/true);
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.out, HasSubstr("\033[4A\033[J"));  // title, header and two trials
  EXPECT_THAT(result.out, HasSubstr("\033[36mrunning\033[0m"));
}

TEST_F(WatchTest, ALostCoordinatorIsWaitedFor) {
  server_.state().watch = {Running(), Ended()};
  server_.state().watch_breaks_after = 1;
  const ClientResult result = home_.Run({"watch", "swp-1"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_THAT(result.err, HasSubstr("lost the coordinator"));
  EXPECT_THAT(result.out, HasSubstr("best trial  swp-1-0"));
}

TEST_F(WatchTest, AFailedOrStoppedSweepIsExitCodeOne) {
  auto ended = Ended();
  for (const auto state : {mead::v1::SWEEP_STATE_FAILED, mead::v1::SWEEP_STATE_STOPPED}) {
    ended.mutable_sweep()->set_state(state);
    server_.state().watch = {ended};
    EXPECT_EQ(home_.Run({"watch", "swp-1"}).exit_code, 1);
  }
}

TEST_F(WatchTest, JsonIsOneMessagePerLine) {
  server_.state().watch = {Running(), Ended()};
  const ClientResult result = home_.Run({"watch", "swp-1", "-o", "json"});
  EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 2);
  EXPECT_EQ(result.out.rfind("{\"sweep\":{\"id\":\"swp-1\"", 0), 0u);
}

TEST_F(WatchTest, LogsGoOnWithoutRepeatingAfterALostConnection) {
  for (const char* text : {"one", "two", "three"}) {
    auto line = FromText<mead::v1::LogLine>("time { seconds: 3723 } rank: 1 attempt: 2");
    line.set_text(text);
    server_.state().logs.push_back(line);
  }
  server_.state().logs_break_after = 2;
  const ClientResult result = home_.Run({"logs", "swp-1-0", "-f"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out,
            "01:02:03.000 attempt 2 rank 1 | one\n"
            "01:02:03.000 attempt 2 rank 1 | two\n"
            "01:02:03.000 attempt 2 rank 1 | three\n");
}

TEST_F(WatchTest, LogLinesCannotSteerTheTerminal) {
  server_.state().logs.push_back(FromText<mead::v1::LogLine>(R"(text: "a\033[2Jb")"));
  EXPECT_THAT(home_.Run({"logs", "swp-1-0"}).out, HasSubstr("| a[2Jb\n"));
}

TEST(WatchDeathTest, CtrlCLeavesTheSweepAlone) {
  ::testing::FLAGS_gtest_death_test_style = "threadsafe";
  const auto watch_and_interrupt = [] {
    FakeServer server;
    ClientHome home;
    home.Set("MEAD_SERVER", server.address());
    server.state().watch = {Running()};
    server.state().on_watching = [] { raise(SIGINT); };
    const ClientResult result = home.Run({"watch", "swp-1"});
    std::cerr << result.err;
    _exit(result.exit_code);
  };
  EXPECT_EXIT(watch_and_interrupt(), ::testing::ExitedWithCode(130), "the sweep goes on");
}

}  // namespace
}  // namespace mead::client
