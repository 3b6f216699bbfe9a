#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>

#include "client/lr_curve.h"
#include "common/base/range_test.h"
#include "common/dataset/image.h"
#include "common/files.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSweep[] =
    "apiVersion: mead/v1\nkind: Sweep\nname: polyps\ndataset: d\nsearch: {trials: 9}\n"
    "train:\n  batch_size: 32\n  phases: [{epochs: 1, freeze: body}, {epochs: 2}]\n"
    "space:\n  optimizer.lr: {log_uniform: [1e-4, 1e-1]}\n"
    "  batch_size: {choice: [32, 64]}\n  optimizer.weight_decay: {choice: [0, 1e-4]}\n";

constexpr RangeTestOptions kRange = {.min_lr = 1e-6, .max_lr = 1, .steps = 61};

// 2 at first, then down to 0.5 about 1e-3, and up from 1e-2 on; in every other step 0.1 more.
double Loss(int step) {
  const double x = std::log10(RangeTestRate(kRange, step));
  const double fall = 2 - 1.5 / (1 + std::exp(-4 * (x + 3.5)));
  return fall + std::exp(3 * (x + 1)) + (step % 2 == 0 ? 0.1 : 0);
}

class LrFindTest : public ::testing::Test {
 protected:
  LrFindTest() {
    home_.Set("MEAD_SERVER", server_.address());
    RangeTest test(kRange);
    for (int step = 0; !test.ended(); ++step) test.Add(Loss(step));
    curve_ = test.points();
    FakeState& state = server_.state();
    for (size_t i = 0; i < curve_.size(); ++i) {
      const auto step = static_cast<int64_t>(i) + 1;
      AddPoint(kRangeLr, step, curve_[i].lr);
      AddPoint(kRangeLoss, step, curve_[i].loss);
      AddPoint(kRangeSmoothedLoss, step, curve_[i].smoothed_loss);
    }
    state.metrics.set_trial_id("swp-1-0");
    auto& trial = state.trials["swp-1-0"];
    trial.mutable_trial()->set_id("swp-1-0");
    trial.mutable_trial()->set_state(mead::v1::TRIAL_STATE_SUCCEEDED);
    trial.mutable_trial()->set_message("all 61 steps, up to a learning rate of 1");
    trial.mutable_config()->mutable_lr_range()->set_steps(kRange.steps);
    state.on_submit = [](const auto& request, auto* response) {
      *response->mutable_sweep()->mutable_spec() = request.spec();
      response->mutable_sweep()
          ->mutable_spec()
          ->mutable_train()
          ->mutable_optimizer()
          ->set_weight_decay(1e-4);
      response->mutable_sweep()->set_id("swp-1");
      return grpc::Status::OK;
    };
    state.watch.push_back(Update(mead::v1::SWEEP_STATE_RUNNING));
    state.watch.push_back(Update(mead::v1::SWEEP_STATE_SUCCEEDED));
  }

  void AddPoint(const char* name, int64_t step, double value, int64_t seconds = 100) {
    mead::v1::MetricPoint& point = *server_.state().metrics.add_points();
    point.set_name(name);
    point.set_epoch(1);
    point.set_step(step);
    point.set_value(value);
    point.mutable_time()->set_seconds(seconds);
  }

  static mead::v1::WatchSweepResponse Update(mead::v1::SweepState state) {
    mead::v1::WatchSweepResponse update;
    update.mutable_sweep()->set_id("swp-1");
    update.mutable_sweep()->set_state(state);
    mead::v1::Trial& trial = *update.add_trials();
    trial.set_id("swp-1-0");
    trial.set_state(state == mead::v1::SWEEP_STATE_RUNNING     ? mead::v1::TRIAL_STATE_RUNNING
                    : state == mead::v1::SWEEP_STATE_SUCCEEDED ? mead::v1::TRIAL_STATE_SUCCEEDED
                                                               : mead::v1::TRIAL_STATE_FAILED);
    if (state == mead::v1::SWEEP_STATE_RUNNING) {
      trial.mutable_progress()->set_phase("range");
      trial.mutable_progress()->set_step(30);
      trial.mutable_progress()->set_steps_per_epoch(61);
    }
    return update;
  }

  ClientResult Find(std::vector<std::string> more) {
    more.insert(more.begin(), {"lr-find", home_.Write("s.yaml", kSweep)});
    return home_.Run(more);
  }

  FakeServer server_;
  ClientHome home_;
  std::vector<RangeTestPoint> curve_;
};

TEST_F(LrFindTest, SubmitsOneTrialThatIsARangeTest) {
  const ClientResult result =
      Find({"--min-lr", "1e-6", "--max-lr", "1", "--steps", "61", "--set", "resources.ranks=2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(server_.state().submitted.size(), 1u);
  const mead::v1::SweepSpec& spec = server_.state().submitted[0].spec();
  EXPECT_EQ(spec.name(), "polyps-lr-find");
  EXPECT_EQ(spec.space_size(), 0);
  EXPECT_EQ(spec.search().trials(), 1);
  EXPECT_EQ(spec.resources().ranks(), 2);
  EXPECT_EQ(spec.train().lr_range().min_lr(), 1e-6);
  EXPECT_EQ(spec.train().lr_range().max_lr(), 1);
  EXPECT_EQ(spec.train().lr_range().steps(), 61);
  EXPECT_EQ(spec.train().phases_size(), 2);
  EXPECT_THAT(result.err,
              AllOf(HasSubstr("it takes batch_size=32 (of train), optimizer.weight_decay=0.0001 "
                              "(the default)\n"),
                    HasSubstr("the test is of the first of 2 phases, which freezes body\n"),
                    HasSubstr("steps  30 of 61  49 %\n"), Not(HasSubstr("optimizer.lr="))));
}

TEST_F(LrFindTest, LeavesTheRangeToTheFileAndTheServer) {
  EXPECT_EQ(Find({"--set", "train.lr_range.steps=80"}).exit_code, 0);
  const mead::v1::LrRange& range = server_.state().submitted[0].spec().train().lr_range();
  EXPECT_EQ(range.steps(), 80);
  EXPECT_FALSE(range.has_min_lr() || range.has_max_lr());
}

TEST_F(LrFindTest, PrintsTheCurveAndWhatToWrite) {
  const ClientResult result = home_.Run({"lr-find", "--trial", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, R"(trial swp-1-0: all 61 steps, up to a learning rate of 1

   2.32 |
        |                                                                    *
        |*** ****** ****** *****
        | .  . . .  . . .  . .. * *****
        |                      .       * *V                          .      *
        |                         ..       **                             *
        |                                    ** *                  .
   1.49 |                           ..           ****                    *
        |                                            * ***             **
        |                             ..                  *** ***M** **
        |                                                        .
        |                                .
        |                                 .                    ..
  0.778 |                                   .
        ++-----------+----------+-----------+-----------+----------+-----------+
         1e-06     1e-05     0.0001       0.001       0.01        0.1          1

   SUGGESTION  LEARNING RATE
V  valley            0.00063  half way down the longest fall of the smoothed loss
S  steep             0.00063  where it falls fastest
M  minimum/10         0.0063  a tenth of where it is smallest

for the sweep file, one of

train:
  optimizer: {lr: 0.00063}
space:
  optimizer.lr: {log_uniform: [0.00021, 0.019]}
)");
}

TEST_F(LrFindTest, ATerminalGetsColours) {
  const ClientResult result = home_.Run({"lr-find", "--trial", "swp-1-0"}, /*tty=*/true);
  EXPECT_THAT(result.out,
              AllOf(HasSubstr("\033[36m*"), HasSubstr("\033[2m."), HasSubstr("\033[32mV\033[0m")));
}

TEST_F(LrFindTest, WritesTheCurveForOtherPrograms) {
  const std::string csv = (home_.dir() / "curve.csv").string();
  const std::string png = (home_.dir() / "curve.png").string();
  const ClientResult result =
      home_.Run({"lr-find", "--trial", "swp-1-0", "-o", "json", "--csv", csv, "--png", png});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json["trialId"], "swp-1-0");
  EXPECT_EQ(json["points"].size(), curve_.size());
  EXPECT_EQ(json["points"][3]["smoothedLoss"].get<double>(), curve_[3].smoothed_loss);
  const LrSuggestions suggestions = SuggestLearningRates(curve_, kRange.steps);
  EXPECT_EQ(json["valley"].get<double>(), suggestions.valley->lr);
  EXPECT_EQ(json["minimumTenth"].get<double>(), suggestions.minimum_tenth->lr);
  const std::string text = *ReadFile(csv);
  EXPECT_THAT(text, testing::StartsWith("step,lr,loss,smoothed_loss\n1,1e-06,"));
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), std::ssize(curve_) + 1);
  const std::string bytes = *ReadFile(png);
  const auto picture = dataset::ImageDecoder().Decode(
      {reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()});
  ASSERT_TRUE(picture.ok()) << picture.status();
  EXPECT_GT(picture->width, 600);
  EXPECT_EQ(home_.Run({"lr-find", "--trial", "swp-1-0", "-o", "name"}).out, "swp-1-0\n");
}

// An attempt that was lost after its report may have got further than the one that counts.
TEST_F(LrFindTest, PointsOfAnEarlierAttemptAreLeftOut) {
  AddPoint(kRangeLr, 62, 2, /*seconds=*/50);
  AddPoint(kRangeSmoothedLoss, 62, 9, /*seconds=*/50);
  EXPECT_EQ(LrCurveOf(server_.state().metrics), curve_);
}

TEST_F(LrFindTest, AFailedTestSaysWhyAndExitsWithOne) {
  server_.state().watch.back() = Update(mead::v1::SWEEP_STATE_FAILED);
  server_.state().watch.back().mutable_trials(0)->set_message("no memory");
  const ClientResult result = Find({});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, AllOf(HasSubstr("the range test swp-1 failed: no memory"),
                                HasSubstr("mead logs swp-1-0")));
}

TEST_F(LrFindTest, WrongOptionsAreShownWhereTheyStand) {
  mead::v1::ValidationReport report;
  report.add_violations()->set_field("train.lr_range.steps");
  report.mutable_violations(0)->set_message("must be from 10 to 1000, not 5");
  server_.state().on_submit = [report](const auto&, auto*) {
    return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "1", report.SerializeAsString());
  };
  const ClientResult result = Find({"--steps", "5"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err,
              HasSubstr("--steps 5: train.lr_range.steps: must be from 10 to 1000, not 5"));
  EXPECT_EQ(home_.Run({"lr-find"}).exit_code, 2);
  EXPECT_EQ(Find({"--trial", "swp-1-0"}).exit_code, 2);
}

TEST_F(LrFindTest, OtherTrialsAreNoTests) {
  server_.state().trials["swp-1-0"].clear_config();
  const ClientResult result = home_.Run({"lr-find", "--trial", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("trial swp-1-0 is no learning-rate range test"));
}

TEST_F(LrFindTest, ATestUnderWayHasNoCurveYet) {
  server_.state().metrics.clear_points();
  server_.state().trials["swp-1-0"].mutable_trial()->set_state(mead::v1::TRIAL_STATE_RUNNING);
  const ClientResult result = home_.Run({"lr-find", "--trial", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("still under way without a curve so far"));
}

TEST_F(LrFindTest, MetricsNameTheCommandThatShowsTheCurve) {
  const ClientResult result = home_.Run({"metrics", "swp-1-0"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "");
  EXPECT_THAT(result.err, HasSubstr("\"mead lr-find --trial swp-1-0\""));
}

TEST(LrCurve, ACurveThatOnlyRisesHasNoSuggestionAndIsStillDrawn) {
  std::vector<RangeTestPoint> curve;
  for (int i = 0; i < 30; ++i) {
    curve.push_back(
        {.lr = std::pow(10.0, i / 10.0 - 3), .loss = 1.0 + i, .smoothed_loss = 1.0 + i});
  }
  std::ostringstream out;
  const Terminal terminal{.out = out, .err = out, .env = {}};
  const LrSuggestions none = SuggestLearningRates(curve, 30);
  EXPECT_EQ(LrCurveLines(terminal, curve, none, 80).size(), 16u);
  EXPECT_TRUE(LrCurveLines(terminal, {}, none, 80).empty());
  EXPECT_EQ(SweepFileLines(none), "");
  EXPECT_TRUE(LrCurvePicture(curve, none, "rises").ok());
}

}  // namespace
}  // namespace mead::client
