#include <gmock/gmock.h>
#include <google/protobuf/text_format.h>
#include <gtest/gtest.h>

#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using google::protobuf::TextFormat;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

class CommandsTest : public ::testing::Test {
 protected:
  CommandsTest() {
    home_.Set("MEAD_SERVER", server_.address());
    FakeState& state = server_.state();
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(sweep { id: "swp-1" spec { name: "demo" dataset: "kvasir" train { epochs: 3 } }
                   state: SWEEP_STATE_RUNNING create_time { seconds: 1767323045 }
                   trials_total: 4 trials_succeeded: 1 trials_failed: 1 trials_running: 2
                   best_trial_id: "swp-1-0" best_value: 0.91234 }
           trials { id: "swp-1-0" state: TRIAL_STATE_SUCCEEDED epochs_done: 3 epochs_total: 3
                    best_value: 0.91234 best_epoch: 2 })",
        &state.sweeps["swp-1"]));
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(trial { id: "swp-1-0" sweep_id: "swp-1" state: TRIAL_STATE_RUNNING attempt: 1
                   epochs_done: 2 epochs_total: 3 workers: "worker-1" workers: "worker-2"
                   latest_checkpoint { epoch: 2 size_bytes: 2048 path: "/d/x" }
                   last_metrics { key: "val/accuracy" value: 0.5 } }
           config { model: "resnet18" seed: 1 })",
        &state.trials["swp-1-0"]));
    EXPECT_TRUE(TextFormat::ParseFromString(
        R"(version: "0.1.0" start_time { seconds: 100 } time { seconds: 190 }
           nodes { id: "worker-1" address: "127.0.0.1" version: "0.1.0" accelerator: "cpu"
                   connected: true device: "a CPU"
                   slots { state: SLOT_STATE_BUSY trial_id: "swp-1-0" rank: 1 }
                   slots { index: 1 state: SLOT_STATE_IDLE } }
           nodes { id: "worker-2" accelerator: "cpu" slots { state: SLOT_STATE_LOST } }
           slots_total: 3 slots_idle: 1 trials_queued: 2 disk_free_bytes: 1073741824
           conditions { name: "disk" message: "nearly full" })",
        &state.status));
  }

  FakeServer server_;
  ClientHome home_;
};

TEST_F(CommandsTest, ListShowsSweeps) {
  EXPECT_EQ(home_.Run({"list"}).out,
            "SWEEP  NAME  STATE    TRIALS    BEST  BEST TRIAL  DATA SET  CREATED\n"
            "swp-1  demo  running     2/4  0.9123  swp-1-0     kvasir    2026-01-02 03:04:05\n");
  EXPECT_EQ(home_.Run({"list", "-o", "name"}).out, "swp-1\n");
  EXPECT_THAT(home_.Run({"list", "-o", "json"}).out, HasSubstr("\"trialsTotal\": 4"));
  EXPECT_THAT(home_.Run({"list", "-o", "yaml"}).out, HasSubstr("    trialsTotal: 4\n"));
}

TEST_F(CommandsTest, DescribeTellsSweepsFromTrials) {
  const ClientResult sweep = home_.Run({"describe", "swp-1"});
  EXPECT_THAT(sweep.out, HasSubstr("sweep:        swp-1\nname:         demo\n"));
  EXPECT_THAT(sweep.out, HasSubstr("specification:\n  apiVersion: mead/v1\n"));
  const ClientResult trial = home_.Run({"describe", "swp-1-0"});
  EXPECT_EQ(trial.out,
            "trial:        swp-1-0\n"
            "sweep:        swp-1\n"
            "state:        running\n"
            "attempt:      1\n"
            "epochs:       2 of 3\n"
            "rank 0:       worker-1\n"
            "rank 1:       worker-2\n"
            "latest file:  epoch 2, 2.0 KiB, /d/x\n"
            "configuration:\n"
            "  model: resnet18\n"
            "  seed: 1\n"
            "\n"
            "metrics of the last epoch:\n"
            "METRIC        VALUE\n"
            "val/accuracy    0.5\n");
  const ClientResult neither = home_.Run({"describe", "x"});
  EXPECT_EQ(neither.exit_code, 2);
  EXPECT_EQ(neither.err, "mead: no trial or sweep x\n");
}

TEST_F(CommandsTest, StopTellsSweepsFromTrials) {
  EXPECT_EQ(home_.Run({"stop", "swp-1"}).exit_code, 0);
  EXPECT_EQ(home_.Run({"stop", "swp-1-0"}).exit_code, 0);
  EXPECT_EQ(home_.Run({"stop", "swp-9"}).exit_code, 2);
  EXPECT_THAT(server_.state().stopped, ElementsAre("swp-1", "swp-1-0"));
}

TEST_F(CommandsTest, MetricsAreATableByEpoch) {
  EXPECT_TRUE(TextFormat::ParseFromString(
      R"(trial_id: "swp-1-0"
         points { epoch: 1 step: 10 name: "train/loss" value: 0.9 }
         points { epoch: 1 step: 10 name: "val/recall/polyps" value: 0.5 }
         points { epoch: 2 step: 20 name: "train/loss" value: 0.5 }
         points { epoch: 2 step: 20 name: "val/accuracy" value: 0.75 })",
      &server_.state().metrics));
  const ClientResult main = home_.Run({"metrics", "swp-1-0"});
  EXPECT_EQ(main.out,
            "EPOCH  STEP  train/loss  val/accuracy\n"
            "    1    10         0.9\n"
            "    2    20         0.5          0.75\n");
  EXPECT_THAT(main.err, HasSubstr("1 more"));
  EXPECT_EQ(home_.Run({"metrics", "swp-1-0", "--name", "val/recall/polyps"}).out,
            "EPOCH  STEP  val/recall/polyps\n    1    10                0.5\n    2    20\n");
  EXPECT_EQ(home_.Run({"metrics", "swp-1-0", "-o", "name"}).out,
            "train/loss\nval/accuracy\nval/recall/polyps\n");
}

TEST_F(CommandsTest, MetricsThatAreSharesOfPicturesHaveIntervals) {
  EXPECT_TRUE(TextFormat::ParseFromString(
      R"(trial_id: "swp-1-0"
         points { epoch: 1 step: 10 name: "val/recall/polyps" value: 0.5 }
         points { epoch: 1 step: 10 name: "val/accuracy" value: 0.95 }
         points { epoch: 2 step: 20 name: "val/accuracy" value: 0.123456 })",
      &server_.state().metrics));
  EXPECT_TRUE(TextFormat::ParseFromString(
      R"(confusion { classes: "normal" classes: "polyps"
                     counts: 270 counts: 10 counts: 60 counts: 60 })",
      &server_.state().confusion));
  // statsmodels.stats.proportion.proportion_confint(380, 400, method="wilson"), and (60, 120).
  // What is no share of 400 pictures has none.
  EXPECT_EQ(home_.Run({"metrics", "swp-1-0"}).out,
            "EPOCH  STEP  val/accuracy     95 % INTERVAL\n"
            "    1    10          0.95  0.9240 to 0.9674\n"
            "    2    20        0.1235\n");
  EXPECT_EQ(home_.Run({"metrics", "swp-1-0", "--name", "val/recall/polyps"}).out,
            "EPOCH  STEP  val/recall/polyps     95 % INTERVAL\n"
            "    1    10                0.5  0.4119 to 0.5881\n"
            "    2    20\n");
}

TEST_F(CommandsTest, SweepsWithFoldsShowConfigurationsAndHowTheyCompare) {
  mead::v1::GetSweepResponse& sweep = server_.state().sweeps["swp-1"];
  EXPECT_TRUE(TextFormat::ParseFromString(
      R"(sweep { id: "swp-1" spec { name: "demo" dataset: "kvasir" search { folds: 3 }
                                    objective { metric: "val/accuracy" goal: "maximize" } }
                 state: SWEEP_STATE_SUCCEEDED trials_total: 6 trials_succeeded: 6
                 best_trial_id: "swp-1-1.3" best_configuration: 1
                 best_value: 0.9 best_standard_deviation: 0.01 }
         trials { id: "swp-1-0.1" fold: 1 best_value: 0.85 }
         trials { id: "swp-1-0.2" fold: 2 best_value: 0.88 }
         trials { id: "swp-1-0.3" fold: 3 best_value: 0.89 }
         trials { id: "swp-1-1.1" fold: 1 best_value: 0.89 configuration: 1 }
         trials { id: "swp-1-1.2" fold: 2 best_value: 0.90 configuration: 1 }
         trials { id: "swp-1-1.3" fold: 3 best_value: 0.91 configuration: 1 best_epoch: 2 }
         configurations { index: 0 state: TRIAL_STATE_SUCCEEDED folds_succeeded: 3
           trial_ids: ["swp-1-0.1", "swp-1-0.2", "swp-1-0.3"]
           mean: 0.87333333333 standard_deviation: 0.0208166 standard_error: 0.0120185
           params { path: "optimizer.lr" value { number: 0.1 } } }
         configurations { index: 1 state: TRIAL_STATE_SUCCEEDED folds_succeeded: 3 best: true
           trial_ids: ["swp-1-1.1", "swp-1-1.2", "swp-1-1.3"]
           mean: 0.9 standard_deviation: 0.01 standard_error: 0.0057735
           params { path: "optimizer.lr" value { number: 0.01 } } })",
      &sweep));
  const std::string out = home_.Run({"describe", "swp-1"}).out;
  EXPECT_THAT(out, HasSubstr("CONFIGURATION  STATE      FOLDS  MEAN val/accuracy      SD      SE  "
                             "PARAMETERS\n"
                             "            0  succeeded    3/3             0.8733  0.0208  0.0120  "
                             "lr=0.1\n"
                             "            1  succeeded    3/3           0.9000 *  0.0100  0.0058  "
                             "lr=0.01\n"));
  // SciPy: d = [0.04, 0.02, 0.02]; error = sqrt(d.var(ddof=1) * (1 / 3 + 1 / 2));
  // stats.t.interval(0.95, 2, d.mean(), error); 2 * stats.t.sf(d.mean() / error, 2)
  EXPECT_THAT(out, HasSubstr("configuration 1 against the next, over the same 3 folds:\n"
                             "CONFIGURATION  DIFFERENCE       95 % INTERVAL      P  WORSE IN\n"
                             "            0     +0.0267  -0.0187 to +0.0720  0.127       3/3\n"));
  EXPECT_THAT(out, HasSubstr("best configuration  1  0.9000 +- 0.0100\n"
                             "its best fold  swp-1-1.3  0.9100 at epoch 2\n"));
  EXPECT_THAT(home_.Run({"list"}).out, HasSubstr("0.9 +- 0.01"));
  sweep.mutable_configurations(0)->set_folds_succeeded(2);
  EXPECT_THAT(home_.Run({"describe", "swp-1"}).out, Not(HasSubstr("against the next")));
}

TEST_F(CommandsTest, StatusShowsNodesAndConditions) {
  EXPECT_EQ(
      home_.Run({"status"}).out,
      "coordinator " + server_.address() +
          ", version 0.1.0, up 1 min 30 s, 1.0 GiB of disk free\n"
          "2 nodes, 1 of 3 slots idle, 0 trials active, 2 queued\n"
          "! disk: nearly full\n"
          "\n"
          "NODE      STATE      ACCELERATOR  SLOTS  IDLE  TRIALS   DEVICE  ADDRESS    VERSION\n"
          "worker-1  connected  cpu              2     1  swp-1-0  a CPU   127.0.0.1  0.1.0\n"
          "worker-2  lost       cpu              1     0\n");
}

TEST_F(CommandsTest, NodesAreDescribedByAnyUniquePrefix) {
  EXPECT_EQ(home_.Run({"nodes", "list", "-o", "name"}).out, "worker-1\nworker-2\n");
  EXPECT_THAT(home_.Run({"nodes", "describe", "worker-1"}).out,
              HasSubstr("SLOT  STATE  TRIAL    RANK\n   0  busy   swp-1-0     1\n   1  idle\n"));
  const ClientResult both = home_.Run({"nodes", "describe", "worker"});
  EXPECT_EQ(both.exit_code, 2);
  EXPECT_THAT(both.err, HasSubstr("fits 2 nodes"));
  EXPECT_THAT(home_.Run({"nodes", "describe", "worker-11"}).err,
              HasSubstr("did you mean worker-1"));
}

TEST_F(CommandsTest, AServerThatIsNoCoordinatorIsRecognised) {
  server_.state().failure = grpc::Status(grpc::StatusCode::UNIMPLEMENTED, "");
  const ClientResult result = home_.Run({"status"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("is of another version, or is not a coordinator"));
}

}  // namespace
}  // namespace mead::client
