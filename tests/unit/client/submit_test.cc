#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/sha256.h"
#include "tests/unit/client/fake_server.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kSweep[] =
    "apiVersion: mead/v1\nkind: Sweep\nname: a\ndataset: d\nresources: {ranks: 2}\n"
    "train:\n  batch_size: 64\n";

class SubmitTest : public ::testing::Test {
 protected:
  SubmitTest() { home_.Set("MEAD_SERVER", server_.address()); }

  ClientResult Submit(const std::vector<std::string>& more, const std::string& text = kSweep) {
    std::vector<std::string> arguments = {"submit", home_.Write("s.yaml", text)};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return home_.Run(arguments);
  }

  void FailWith(grpc::StatusCode code, const std::string& message,
                const mead::v1::ValidationReport& report = {}) {
    server_.state().on_submit = [=](const auto&, auto*) {
      return grpc::Status(code, message, report.SerializeAsString());
    };
  }

  FakeServer server_;
  ClientHome home_;
};

TEST_F(SubmitTest, PrintsTheIdAloneOnStandardOutput) {
  const ClientResult result = Submit({"--set", "train.batch_size=32"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, "swp-1\n");
  EXPECT_THAT(result.err, HasSubstr("mead watch swp-1"));
  ASSERT_EQ(server_.state().submitted.size(), 1u);
  const auto& request = server_.state().submitted[0];
  EXPECT_EQ(request.spec().train().batch_size(), 32);
  EXPECT_FALSE(request.request_id().empty());
  EXPECT_FALSE(request.wait_for_resources());
}

TEST_F(SubmitTest, DryRunPrintsTheFileWithDefaultsAndSubmitsNothing) {
  server_.state().on_submit = [](const auto& request, auto* response) {
    EXPECT_TRUE(request.dry_run());
    *response->mutable_sweep()->mutable_spec() = request.spec();
    response->mutable_sweep()->mutable_spec()->mutable_search()->set_method("random");
    response->mutable_sweep()->set_trials_total(3);
    return grpc::Status::OK;
  };
  const ClientResult result = Submit({"--dry-run"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out,
            "apiVersion: mead/v1\nkind: Sweep\nname: a\ndataset: d\nsearch:\n  method: random\n"
            "resources:\n  ranks: 2\ntrain:\n  batch_size: 64\n");
  EXPECT_THAT(result.err, HasSubstr("is valid: 3 trials; nothing was submitted"));
}

TEST_F(SubmitTest, ViolationsOfTheServerAreShownInTheirLines) {
  mead::v1::ValidationReport report;
  report.add_violations()->set_field("train.batch_size");
  report.mutable_violations(0)->set_message("must be at most 32");
  FailWith(grpc::StatusCode::INVALID_ARGUMENT, "1 violation", report);
  const ClientResult result = Submit({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("has 1 error; nothing was submitted"));
  EXPECT_THAT(result.err, HasSubstr("s.yaml:7:3: train.batch_size: must be at most 32\n"));
}

TEST_F(SubmitTest, ErrorsOfTheFileAndOfTheServerComeInOneRun) {
  mead::v1::ValidationReport report;
  const auto add = [&](const char* field) {
    auto* violation = report.add_violations();
    violation->set_field(field);
    violation->set_message("not so");
  };
  add("train.batch_size");
  add("name");  // missing only because the client could not read it
  FailWith(grpc::StatusCode::INVALID_ARGUMENT, "violations", report);
  const ClientResult result = Submit({"--set", "name=5"});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("has 2 errors"));
  EXPECT_THAT(result.err, HasSubstr("--set name=5: name: wants text, got 5"));
  EXPECT_THAT(result.err, HasSubstr("s.yaml:7:3: train.batch_size: not so"));
  EXPECT_THAT(result.err, Not(HasSubstr("name: not so")));
}

TEST_F(SubmitTest, UnknownDataSetPointsToItsLine) {
  FailWith(grpc::StatusCode::NOT_FOUND, "no data set \"d\"; did you mean demo?");
  const ClientResult result = Submit({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("s.yaml:4:1: dataset: no data set \"d\"; did you mean demo?"));
}

TEST_F(SubmitTest, TooManyRanksPointsToItsLineAndTheOption) {
  FailWith(grpc::StatusCode::FAILED_PRECONDITION, "resources.ranks: a trial needs 2 slots");
  const ClientResult result = Submit({});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_THAT(result.err, HasSubstr("s.yaml:5:13: resources.ranks: a trial needs 2 slots"));
  EXPECT_THAT(result.err, HasSubstr("--wait-for-resources"));
  server_.state().on_submit = nullptr;
  EXPECT_EQ(Submit({"--wait-for-resources"}).exit_code, 0);
  EXPECT_TRUE(server_.state().submitted.back().wait_for_resources());
}

TEST_F(SubmitTest, WeightsAreUploadedAfterTheSpecWasAccepted) {
  const std::string weights(3'000'000, 'w');
  home_.Write("net.safetensors", weights);
  const std::string text = std::string(kSweep) + "  weights: net.safetensors\n";
  const ClientResult result = Submit({}, text);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  ASSERT_EQ(server_.state().submitted.size(), 2u);
  EXPECT_TRUE(server_.state().submitted[0].dry_run());
  EXPECT_EQ(server_.state().submitted[0].spec().train().weights(), "net.safetensors")
      << "defaults depend on it";
  EXPECT_FALSE(server_.state().submitted[1].dry_run());
  EXPECT_EQ(server_.state().submitted[1].spec().train().weights(), "net.safetensors");
  EXPECT_EQ(server_.state().submitted[1].spec().train().weights_artifact(), DigestOf(weights));
  EXPECT_EQ(server_.state().artifacts[DigestOf(weights)], weights);
  EXPECT_THAT(result.err, HasSubstr("upload net.safetensors  2.9 MiB of 2.9 MiB  100 %"));
  // The second time nothing travels.
  const uint64_t before = server_.state().uploaded_bytes;
  EXPECT_EQ(Submit({}, text).exit_code, 0);
  EXPECT_EQ(server_.state().uploaded_bytes, before);
}

TEST_F(SubmitTest, WeightsOfARefusedSpecDoNotTravel) {
  home_.Write("net.safetensors", "w");
  FailWith(grpc::StatusCode::NOT_FOUND, "no data set");
  EXPECT_EQ(Submit({}, std::string(kSweep) + "  weights: net.safetensors\n").exit_code, 2);
  EXPECT_TRUE(server_.state().artifacts.empty());
}

TEST_F(SubmitTest, AnUploadThatBreaksGoesOnWhereItWas) {
  std::string weights(5'000'000, '\0');
  for (size_t i = 0; i < weights.size(); ++i) weights[i] = static_cast<char>(i * 7919 >> 5);
  home_.Write("net.safetensors", weights);
  server_.state().upload_breaks_after = 2'000'000;
  const ClientResult result = Submit({}, std::string(kSweep) + "  weights: net.safetensors\n");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(server_.state().artifacts[DigestOf(weights)], weights);
  EXPECT_EQ(server_.state().uploaded_bytes, weights.size());
}

TEST_F(SubmitTest, OtherErrorsKeepTheirExitCodes) {
  FailWith(grpc::StatusCode::PERMISSION_DENIED, "a token is needed");
  EXPECT_EQ(Submit({}).exit_code, 4);
  FailWith(grpc::StatusCode::RESOURCE_EXHAUSTED, "the coordinator's disk is nearly full");
  const ClientResult full = Submit({});
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_EQ(full.err, "mead: the coordinator's disk is nearly full\n");
  FailWith(grpc::StatusCode::UNAVAILABLE, "away");
  EXPECT_EQ(Submit({}).exit_code, 3);
  EXPECT_EQ(server_.state().submitted.size(), 6u) << "an absent server is asked four times";
}

}  // namespace
}  // namespace mead::client
