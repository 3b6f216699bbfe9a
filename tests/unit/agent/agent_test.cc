// The whole agent, with a coordinator of the test's and trainers that don't train.
#include "worker/agent/agent.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "common/sha256.h"
#include "common/version.h"
#include "tests/support/temp_dir.h"
#include "tests/unit/agent/fake_coordinator.h"

namespace mead::agent {
namespace {

using ::testing::HasSubstr;
using Reports = FakeCoordinator::Reports;

// Distinct reports of a kind, by sequence: repeats after a reconnect count once.
template <class Has>
std::vector<v1::Report> Where(const Reports& reports, Has has) {
  std::vector<v1::Report> found;
  std::set<uint64_t> seen;
  for (const v1::Report& report : reports) {
    if (has(report) && seen.insert(report.sequence()).second) found.push_back(report);
  }
  return found;
}
std::vector<v1::Report> Ready(const Reports& reports) {
  return Where(reports, [](const v1::Report& report) { return report.has_ready(); });
}
std::vector<v1::Report> Exited(const Reports& reports) {
  return Where(reports, [](const v1::Report& report) { return report.has_exited(); });
}
std::vector<v1::Report> Checkpoints(const Reports& reports) {
  return Where(reports, [](const v1::Report& report) { return report.has_checkpoint(); });
}

class AgentTest : public ::testing::Test {
 protected:
  void SetUp() override {
    coordinator_ = std::make_unique<FakeCoordinator>();
    shard_ = coordinator_->Put("the bytes of a shard");
    manifest_ = coordinator_->Put(absl::StrCat(R"({"shards":[{"digest":")", shard_, R"("}]})"));
  }
  void TearDown() override {
    if (agent_ != nullptr) {
      EXPECT_TRUE(Stop().ok());
    }
  }

  void StartAgent(absl::Duration grace = absl::Seconds(25)) {
    AgentOptions options;
    options.coordinator = coordinator_->address();
    options.name = "worker-1";
    options.address = "127.0.0.1";
    options.slots = 2;
    options.dir = dir_.path();
    options.trainer = std::getenv("MEAD_FAKE_TRAINER");
    options.grace = grace;
    agent_ = Agent::Create(options).value();
    thread_ = std::jthread([this] { result_ = agent_->Run(); });
  }
  absl::Status Stop() {
    agent_->RequestStop();
    return Join();
  }
  absl::Status Join() {
    thread_.join();
    agent_.reset();
    return result_;
  }

  // Assigns rank 0 of 1 of a trial to a slot.
  void Assign(const std::string& trial, const std::string& behaviour, int slot = 0) {
    v1::SessionResponse response;
    v1::Assign& assign = *response.mutable_assign();
    assign.mutable_trial()->set_trial_id(trial);
    assign.mutable_trial()->set_attempt(1);
    assign.set_world_size(1);
    assign.set_slot(slot);
    assign.mutable_config()->set_model(behaviour);
    assign.set_manifest_digest(manifest_);
    coordinator_->Send(response);
  }
  void Go(const std::string& trial) {
    v1::SessionResponse response;
    response.mutable_go()->mutable_trial()->set_trial_id(trial);
    response.mutable_go()->mutable_trial()->set_attempt(1);
    coordinator_->Send(response);
  }
  void Abort(const std::string& trial) {
    v1::SessionResponse response;
    response.mutable_abort()->mutable_trial()->set_trial_id(trial);
    response.mutable_abort()->mutable_trial()->set_attempt(1);
    response.mutable_abort()->set_reason("the test wants it");
    coordinator_->Send(response);
  }
  // Waits for the n-th Ready; the trainer's pid, device and number of shards.
  std::vector<std::string> WaitForReady(size_t count) {
    EXPECT_TRUE(coordinator_->WaitForReports(
        [&](const Reports& reports) { return Ready(reports).size() >= count; }));
    return absl::StrSplit(Ready(coordinator_->reports()).back().ready().plan_digest(), ' ');
  }
  v1::MemberExited WaitForExit(size_t count) {
    EXPECT_TRUE(coordinator_->WaitForReports(
        [&](const Reports& reports) { return Exited(reports).size() >= count; }));
    return Exited(coordinator_->reports()).back().exited();
  }
  // Assigns, waits for Ready, and lets it go; the trainer's pid.
  pid_t Run(const std::string& trial, const std::string& behaviour) {
    const size_t before = Ready(coordinator_->reports()).size();
    Assign(trial, behaviour);
    const pid_t pid = std::stoi(WaitForReady(before + 1)[0]);
    Go(trial);
    return pid;
  }

  testing::TempDir dir_;
  std::unique_ptr<FakeCoordinator> coordinator_;
  std::string shard_;
  std::string manifest_;
  std::unique_ptr<Agent> agent_;
  absl::Status result_;
  std::jthread thread_;
};

TEST_F(AgentTest, RegistersWithWhatItIsAndSendsHeartbeats) {
  StartAgent();
  const v1::RegisterWorker registration = coordinator_->WaitForRegistrations(1).at(0);
  EXPECT_EQ(registration.worker_id(), "worker-1");
  EXPECT_EQ(registration.protocol_version(), kProtocolVersion);
  EXPECT_EQ(registration.slots(), 2);
  EXPECT_EQ(registration.accelerator(), "cpu");
  EXPECT_FALSE(registration.instance_id().empty());
  EXPECT_EQ(registration.members_size(), 0);
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (coordinator_->heartbeats() < 2 && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_GE(coordinator_->heartbeats(), 2);
  EXPECT_TRUE(Stop().ok());
}

TEST_F(AgentTest, ATrialRunsFromAssignToExitWithItsCheckpointsStored) {
  StartAgent();
  Assign("sweep-0", "steady");
  EXPECT_THAT(WaitForReady(1), ::testing::ElementsAre(::testing::_, "cpu", "1",
                                                      dir_.Join("cache/decoded"), "10737418240"));
  Go("sweep-0");
  EXPECT_TRUE(WaitForExit(1).succeeded());
  const Reports reports = coordinator_->reports();
  const std::vector<v1::Report> checkpoints = Checkpoints(reports);
  ASSERT_EQ(checkpoints.size(), 2u);
  EXPECT_EQ(checkpoints[1].checkpoint().digest(), DigestOf("weights of epoch 2"));
  EXPECT_TRUE(coordinator_->HasArtifact(DigestOf("weights of epoch 2")));
  const std::vector<v1::Report> predictions =
      Where(reports, [](const v1::Report& report) { return report.has_predictions(); });
  ASSERT_EQ(predictions.size(), 2u);
  EXPECT_EQ(predictions[1].predictions().epoch(), 2);
  EXPECT_EQ(predictions[1].predictions().digest(), DigestOf("predictions of epoch 2"));
  EXPECT_TRUE(coordinator_->HasArtifact(DigestOf("predictions of epoch 2")));
  // The end comes last, and what the trial left on the disk is gone.
  EXPECT_TRUE(reports.back().has_exited());
  EXPECT_TRUE(Stop().ok());
  EXPECT_TRUE(std::filesystem::is_empty(dir_.path() / "work"));
}

TEST_F(AgentTest, ATrainerStaysWarmAfterASuccessAndIsNeverReusedAfterAFailure) {
  StartAgent();
  const pid_t first = Run("sweep-0", "steady");
  EXPECT_TRUE(WaitForExit(1).succeeded());
  const pid_t second = Run("sweep-1", "fails");
  EXPECT_EQ(second, first);
  const v1::MemberExited exited = WaitForExit(2);
  EXPECT_EQ(exited.kind(), v1::FAILURE_KIND_OUT_OF_MEMORY);
  EXPECT_EQ(exited.message(), "does not fit");
  EXPECT_NE(kill(second, 0), 0) << "the slot was given back before its process had ended";
  EXPECT_NE(Run("sweep-2", "steady"), second);
  EXPECT_TRUE(WaitForExit(3).succeeded());
}

TEST_F(AgentTest, AKilledTrainerIsReportedAtOnceAsLostInfrastructure) {
  StartAgent();
  const pid_t pid = Run("sweep-0", "waits");
  const absl::Time start = absl::Now();
  kill(pid, SIGKILL);
  const v1::MemberExited exited = WaitForExit(1);
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  EXPECT_FALSE(exited.succeeded());
  EXPECT_EQ(exited.kind(), v1::FAILURE_KIND_INFRASTRUCTURE);
  EXPECT_THAT(exited.message(), HasSubstr("killed by signal 9"));
}

TEST_F(AgentTest, AnAbortedMemberIsReportedWhenItsProcessIsGone) {
  StartAgent();
  const pid_t pid = Run("sweep-0", "waits");
  Abort("sweep-0");
  EXPECT_EQ(WaitForExit(1).message(), "the test wants it");
  EXPECT_NE(kill(pid, 0), 0);
}

TEST_F(AgentTest, AnAbortOfAMemberThatIsNotHereIsAnsweredAllTheSame) {
  StartAgent();
  Abort("sweep-9");
  EXPECT_FALSE(WaitForExit(1).succeeded());
}

TEST_F(AgentTest, AMissingArtefactFailsTheMemberInWords) {
  manifest_ = DigestOf("nobody has this");
  StartAgent();
  Assign("sweep-0", "steady");
  const v1::MemberExited exited = WaitForExit(1);
  EXPECT_THAT(exited.message(), HasSubstr("cannot fetch the trial's data"));
}

TEST_F(AgentTest, ASlotThatDoesNotExistIsRefused) {
  StartAgent();
  Assign("sweep-0", "steady", /*slot=*/5);
  EXPECT_THAT(WaitForExit(1).message(), HasSubstr("has 2 slots"));
}

TEST_F(AgentTest, TrainersLinesBecomeLogLinesOfTheirTrial) {
  StartAgent();
  Run("sweep-0", "chatty");
  WaitForExit(1);
  const auto logs =
      Where(coordinator_->reports(), [](const v1::Report& report) { return report.has_logs(); });
  ASSERT_FALSE(logs.empty());
  EXPECT_EQ(logs[0].trial().trial_id(), "sweep-0");
  EXPECT_EQ(logs[0].logs().lines(0).text(), "caf\xC3\xA9 \xEF\xBF\xBD from the trainer");
  EXPECT_EQ(logs[0].logs().lines(0).attempt(), 1);
}

TEST_F(AgentTest, MembersGoOnThroughABrokenSessionAndAreHeldWhenItReturns) {
  StartAgent();
  const pid_t pid = Run("sweep-0", "waits");
  coordinator_->BreakSession();
  const auto registrations = coordinator_->WaitForRegistrations(2);
  ASSERT_EQ(registrations.size(), 2u);
  EXPECT_EQ(registrations[0].instance_id(), registrations[1].instance_id());
  ASSERT_EQ(registrations[1].members_size(), 1);
  EXPECT_EQ(registrations[1].members(0).trial().trial_id(), "sweep-0");
  EXPECT_FALSE(registrations[1].members(0).ended());
  EXPECT_EQ(coordinator_->registration_incarnations(), (std::vector<uint64_t>{0, 7}));
  EXPECT_EQ(kill(pid, 0), 0);
}

TEST_F(AgentTest, ReportsOfAnAwayCoordinatorArriveWhenItIsBack) {
  StartAgent();
  coordinator_->SetAcknowledging(false);
  Run("sweep-0", "steady");
  ASSERT_TRUE(WaitForExit(1).succeeded());
  // Nothing was acknowledged: all of it is sent again, and the ended member is
  // still held, so that it is not taken for lost.
  const size_t before = coordinator_->reports().size();
  coordinator_->BreakSession();
  coordinator_->SetAcknowledging(true);
  const auto registrations = coordinator_->WaitForRegistrations(2);
  ASSERT_EQ(registrations.back().members_size(), 1);
  EXPECT_TRUE(registrations.back().members(0).ended());
  EXPECT_TRUE(coordinator_->WaitForReports([&](const Reports& reports) {
    return std::count_if(reports.begin() + static_cast<int64_t>(before), reports.end(),
                         [](const v1::Report& report) { return report.has_exited(); }) == 1;
  }));
  const Reports reports = coordinator_->reports();
  uint64_t last = 0;
  for (size_t i = before; i < reports.size(); ++i) {
    if (reports[i].sequence() == 0) continue;
    EXPECT_EQ(reports[i].sequence(), last + 1);
    last = reports[i].sequence();
  }
  // Once it has the acknowledgement the agent holds nothing any more. A break may
  // be quicker than that, so break until it has.
  size_t count = 2;
  int held = 1;
  while (held > 0 && count < 50) {
    coordinator_->BreakSession();
    held = coordinator_->WaitForRegistrations(++count).back().members_size();
  }
  EXPECT_EQ(held, 0);
}

TEST_F(AgentTest, StaleMembersAreEndedWhenTheSessionReturns) {
  StartAgent();
  Run("sweep-0", "waits");
  v1::Member stale;
  stale.mutable_trial()->set_trial_id("sweep-0");
  stale.mutable_trial()->set_attempt(1);
  coordinator_->AddStaleMember(stale);
  coordinator_->BreakSession();
  EXPECT_THAT(WaitForExit(1).message(), HasSubstr("attempt was over"));
}

TEST_F(AgentTest, ARefusalEndsTheAgentWithTheCoordinatorsWords) {
  coordinator_->RefuseWith(
      {grpc::StatusCode::FAILED_PRECONDITION, "protocol version 1, this coordinator speaks 2"});
  StartAgent();
  const absl::Status status = Join();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(status.message()), HasSubstr("speaks 2"));
}

TEST_F(AgentTest, AStoppedAgentEndsItsTrainersAndSaysSo) {
  StartAgent();
  const pid_t pid = Run("sweep-0", "waits");
  EXPECT_TRUE(Stop().ok());
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_EQ(WaitForExit(1).message(), "the worker is being stopped");
  EXPECT_EQ(WaitForExit(1).kind(), v1::FAILURE_KIND_PREEMPTED);
  EXPECT_TRUE(coordinator_->draining());
}

TEST_F(AgentTest, AStoppedAgentStoresWhatItsTrainersSaveBeforeItSaysThatTheyHaveEnded) {
  StartAgent();
  const pid_t pid = Run("sweep-0", "yields");
  EXPECT_TRUE(Stop().ok());
  EXPECT_NE(kill(pid, 0), 0);
  const Reports reports = coordinator_->reports();
  const auto saved = Checkpoints(reports);
  const auto exited = Exited(reports);
  ASSERT_EQ(saved.size(), 1u);
  ASSERT_EQ(exited.size(), 1u);
  EXPECT_EQ(saved[0].checkpoint().step(), 7);
  EXPECT_TRUE(coordinator_->HasArtifact(saved[0].checkpoint().digest()));
  EXPECT_LT(saved[0].sequence(), exited[0].sequence());
  EXPECT_TRUE(exited[0].exited().yielded());
  EXPECT_EQ(exited[0].exited().kind(), v1::FAILURE_KIND_PREEMPTED);
}

TEST_F(AgentTest, AnAgentWithoutGraceEndsItsTrainersAtOnce) {
  StartAgent(absl::ZeroDuration());
  const pid_t pid = Run("sweep-0", "yields");
  EXPECT_TRUE(Stop().ok());
  EXPECT_NE(kill(pid, 0), 0);
  EXPECT_FALSE(WaitForExit(1).yielded());
  EXPECT_EQ(WaitForExit(1).kind(), v1::FAILURE_KIND_PREEMPTED);
}

TEST_F(AgentTest, TwoAgentsNeverShareAFolder) {
  StartAgent();
  AgentOptions options;
  options.coordinator = coordinator_->address();
  options.name = "worker-2";
  options.dir = dir_.path();
  options.trainer = std::getenv("MEAD_FAKE_TRAINER");
  EXPECT_EQ(Agent::Create(options).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace mead::agent
