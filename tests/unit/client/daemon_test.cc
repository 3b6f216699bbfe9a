#include "client/daemon.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>

#include "absl/time/clock.h"
#include "client/interrupt.h"
#include "tests/unit/client/run_client.h"

namespace mead::client {
namespace {

using ::testing::HasSubstr;

class DaemonTest : public ::testing::Test {
 protected:
  DaemonOptions Shell(const std::string& script) const {
    DaemonOptions options;
    options.name = "test";
    options.command = {"/bin/sh", "-c", script};
    options.pid_path = (home_.dir() / "run/test.pid").string();
    options.log_path = (home_.dir() / "logs/test.log").string();
    options.dies_with_parent = true;
    return options;
  }
  std::optional<Daemon> Find(const DaemonOptions& options) const {
    return Daemon::Find("test", options.pid_path, options.log_path);
  }
  static void WaitUntilEnded(const Daemon& daemon) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    while (daemon.IsRunning()) ASSERT_LT(absl::Now(), deadline);
  }

  ClientHome home_;
};

TEST_F(DaemonTest, EndedBeforeItRunsItsProgramIsNoInterruptOfOurs) {
  InstallInterruptHandler();
  for (int i = 0; i < 50; ++i) {
    const auto daemon = Daemon::Start(Shell("exec sleep 600"));
    ASSERT_TRUE(daemon.ok()) << daemon.status();
    daemon->RequestStop();
    WaitUntilEnded(*daemon);
  }
  std::atomic<bool> told = false;
  {
    const InterruptScope scope([&told] { told = true; });
  }
  EXPECT_FALSE(told);
}

TEST_F(DaemonTest, IsFoundByItsPidFileAndEndsWhenAsked) {
  const DaemonOptions options = Shell("exec sleep 600");
  const auto daemon = Daemon::Start(options);
  ASSERT_TRUE(daemon.ok()) << daemon.status();
  EXPECT_TRUE(daemon->IsRunning());
  const auto found = Find(options);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->pid(), daemon->pid());
  found->RequestStop();
  EXPECT_TRUE(daemon->WaitForEnd(absl::Seconds(20)));
  EXPECT_EQ(daemon->Ending(), "was ended by signal 15");
  EXPECT_FALSE(Find(options));
  EXPECT_FALSE(std::filesystem::exists(options.pid_path));
}

TEST_F(DaemonTest, OneThatIgnoresTheRequestIsKilled) {
  const auto daemon = Daemon::Start(Shell("trap '' TERM; echo ready; while :; do sleep 600; done"));
  ASSERT_TRUE(daemon.ok());
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (daemon->LogTail(1) != "ready") ASSERT_LT(absl::Now(), deadline);
  daemon->RequestStop();
  EXPECT_FALSE(daemon->WaitForEnd(absl::Milliseconds(50)));
  EXPECT_FALSE(daemon->IsRunning());
}

TEST_F(DaemonTest, TheEndOfItsLogIsThatOfThisStart) {
  home_.Write("logs/test.log", "an older run\n");
  const auto daemon = Daemon::Start(Shell("echo one; echo two >&2; echo three; exit 2"));
  ASSERT_TRUE(daemon.ok());
  WaitUntilEnded(*daemon);
  EXPECT_EQ(daemon->Ending(), "exited with status 2");
  EXPECT_EQ(daemon->LogTail(10), "one\ntwo\nthree");
  EXPECT_EQ(daemon->LogTail(1), "three");
}

TEST_F(DaemonTest, APidThatWasGivenOutAgainIsNotTakenForIt) {
  const DaemonOptions options = Shell("");
  // This process has the pid, but did not start at that time.
  home_.Write("run/test.pid", std::to_string(getpid()) + " 1\n");
  EXPECT_FALSE(Find(options));
  home_.Write("run/test.pid", "nonsense");
  EXPECT_FALSE(Find(options));
}

TEST_F(DaemonTest, AMissingProgramIsNamed) {
  DaemonOptions options = Shell("");
  options.command = {"/no/such/mead-worker"};
  const auto daemon = Daemon::Start(options);
  EXPECT_EQ(daemon.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(daemon.status().message()), HasSubstr("/no/such/mead-worker"));
}

TEST_F(DaemonTest, LocalStatusWithoutAClusterIsExitCodeOne) {
  const ClientResult status = home_.Run({"local", "status"});
  EXPECT_EQ(status.exit_code, 1);
  EXPECT_THAT(status.out, HasSubstr("no cluster runs in " + home_.dir().string()));
  EXPECT_EQ(home_.Run({"local", "down"}).exit_code, 0);
}

TEST_F(DaemonTest, LocalUpWithoutItsProgramsSaysSo) {
  // The test program's folder holds neither coordinator nor worker.
  const ClientResult up = home_.Run({"local", "up", "--detach"});
  EXPECT_EQ(up.exit_code, 2);
  EXPECT_THAT(up.err, HasSubstr("mead-coordinator; it belongs beside this one"));
}

}  // namespace
}  // namespace mead::client
