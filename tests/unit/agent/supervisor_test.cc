#include "worker/agent/supervisor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <future>
#include <string>

#include "absl/time/clock.h"
#include "tests/support/temp_dir.h"

namespace mead::agent {
namespace {

using ::testing::ElementsAre;

// A shell script as a child, and what became of it.
struct Script {
  std::vector<std::string> lines;
  std::promise<ExitStatus> ended;
  std::promise<void> first_line;
  Supervisor::ChildId id = 0;
  bool saw_line = false;

  absl::Status Start(Supervisor& supervisor, const std::string& text) {
    ChildOptions options;
    options.argv = {"/bin/sh", "-c", text};
    options.environment = {{"MEAD_TEST_VALUE", "given"}};
    options.on_lines = [this](std::vector<std::string> got) {
      for (std::string& line : got) lines.push_back(std::move(line));
      if (!std::exchange(saw_line, true)) first_line.set_value();
    };
    options.on_exit = [this](ExitStatus status) { ended.set_value(status); };
    auto started = supervisor.Start(std::move(options));
    if (!started.ok()) return started.status();
    id = *started;
    return absl::OkStatus();
  }
};

bool IsAlive(pid_t pid) {
  // A zombie nobody waits for still answers kill(0); its state tells.
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string id, name, state;
  return static_cast<bool>(stat >> id >> name >> state) && state != "Z" && state != "X";
}

void WaitUntilGone(pid_t pid) {
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (IsAlive(pid) && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(5));
  EXPECT_FALSE(IsAlive(pid)) << pid;
}

TEST(SupervisorTest, AChildsOutputComesAsLinesBeforeItsEnd) {
  auto supervisor = Supervisor::Create().value();
  Script script;
  ASSERT_TRUE(
      script.Start(*supervisor, "echo out; echo err >&2; printf $MEAD_TEST_VALUE; exit 3").ok());
  const ExitStatus status = script.ended.get_future().get();
  EXPECT_EQ(status.code, 3);
  EXPECT_EQ(status.ToString(), "exited with code 3");
  EXPECT_THAT(script.lines, ElementsAre("out", "err", "given"));
  EXPECT_EQ(supervisor->PidOf(script.id), 0);
}

TEST(SupervisorTest, AProgramThatIsMissingIsAnErrorOfStart) {
  auto supervisor = Supervisor::Create().value();
  ChildOptions options;
  options.argv = {"/no/such/program"};
  const absl::Status status = supervisor->Start(std::move(options)).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr("/no/such/program"));
}

TEST(SupervisorTest, AKilledChildIsNoticedAtOnceAndNamedBySignal) {
  auto supervisor = Supervisor::Create().value();
  Script script;
  ASSERT_TRUE(script.Start(*supervisor, "echo up; exec sleep 1000").ok());
  script.first_line.get_future().wait();
  kill(supervisor->PidOf(script.id), SIGKILL);
  auto ended = script.ended.get_future();
  ASSERT_EQ(ended.wait_for(std::chrono::seconds(5)), std::future_status::ready);
  EXPECT_EQ(ended.get().ToString(), "was killed by signal 9 (Killed)");
}

TEST(SupervisorTest, AChildThatIgnoresTermIsKilledAfterTheGrace) {
  auto supervisor = Supervisor::Create().value();
  Script script;
  ASSERT_TRUE(
      script.Start(*supervisor, "trap '' TERM; echo up; while :; do sleep 1000; done").ok());
  script.first_line.get_future().wait();
  supervisor->Terminate(script.id, absl::Milliseconds(100));
  EXPECT_EQ(script.ended.get_future().get().signal, SIGKILL);
}

TEST(SupervisorTest, ATerminatedChildEndsByTermWithoutWaitingForTheGrace) {
  auto supervisor = Supervisor::Create().value();
  Script script;
  ASSERT_TRUE(script.Start(*supervisor, "echo up; exec sleep 1000").ok());
  script.first_line.get_future().wait();
  supervisor->Terminate(script.id, absl::Minutes(10));
  EXPECT_EQ(script.ended.get_future().get().signal, SIGTERM);
}

TEST(SupervisorTest, GrandchildrenEndWithTheirParent) {
  auto supervisor = Supervisor::Create().value();
  Script script;
  // The grandchild holds the pipe open; its end must not wait for that.
  ASSERT_TRUE(script.Start(*supervisor, "sleep 1000 & echo $!; wait").ok());
  script.first_line.get_future().wait();
  supervisor->Kill(script.id);
  EXPECT_EQ(script.ended.get_future().get().signal, SIGKILL);
  ASSERT_EQ(script.lines.size(), 1u);
  WaitUntilGone(std::stoi(script.lines[0]));
}

TEST(SupervisorTest, ChildrenEndWithTheSupervisor) {
  Script script;
  pid_t pid = 0;
  {
    auto supervisor = Supervisor::Create().value();
    ASSERT_TRUE(script.Start(*supervisor, "echo up; exec sleep 1000").ok());
    script.first_line.get_future().wait();
    pid = supervisor->PidOf(script.id);
  }
  EXPECT_EQ(script.ended.get_future().get().signal, SIGKILL);
  WaitUntilGone(pid);
}

TEST(SupervisorTest, ChildrenDieWithAnAgentThatIsKilled) {
  testing::TempDir dir;
  const std::string file = dir.Join("pid");
  // An agent of our own to kill: a supervisor in another process.
  const pid_t agent = fork();
  if (agent == 0) {
    auto supervisor = Supervisor::Create().value();
    Script script;
    (void)script.Start(*supervisor, "echo $$ > " + file + ".new; mv " + file + ".new " + file +
                                        "; exec sleep 1000");
    for (;;) pause();
  }
  pid_t child = 0;
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (child == 0 && absl::Now() < deadline) {
    std::ifstream(file) >> child;
    absl::SleepFor(absl::Milliseconds(5));
  }
  ASSERT_GT(child, 0);
  kill(agent, SIGKILL);
  waitpid(agent, nullptr, 0);
  WaitUntilGone(child);
}

}  // namespace
}  // namespace mead::agent
