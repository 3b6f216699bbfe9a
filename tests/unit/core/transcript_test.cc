// The main flows as golden transcripts: every event with the commands, changes of
// state and messages that it led to. After an intended change:
//   MEAD_UPDATE_TRANSCRIPTS=1 build/release/tests/core_test --gtest_filter='Transcript.*'
// and read the difference.
#include <cstdlib>
#include <fstream>
#include <sstream>

#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

void ExpectTranscript(const Cluster& cluster, const std::string& name) {
  const std::string path = std::string(MEAD_TRANSCRIPTS) + "/" + name + ".txt";
  if (std::getenv("MEAD_UPDATE_TRANSCRIPTS") != nullptr) {
    std::ofstream(path) << cluster.transcript;
    return;
  }
  std::stringstream expected;
  expected << std::ifstream(path).rdbuf();
  EXPECT_EQ(cluster.transcript, expected.str()) << "differs from " << path;

  ClusterState replayed;
  for (const Event& event : cluster.journal) (void)Step(replayed, event);
  EXPECT_EQ(replayed, cluster.state);
}

SweepSpec GridSpec(int ranks) {
  SweepSpec spec = SpecOf(0, ranks);
  spec.method = SearchMethod::kGrid;
  spec.space = {{"optimizer.name", Choice{{std::string("sgd"), std::string("adamw")}}}};
  return spec;
}

TEST(Transcript, ASweepOfTwoTrialsRunsToItsEnd) {
  Cluster cluster;
  cluster.Register("w1", 1);
  cluster.Submit("s", GridSpec(2));  // waits: only one slot
  cluster.Register("w2", 1);
  cluster.AllReady("s-0");
  cluster.Report("s-0", 1, 0.75);
  cluster.Save("s-0", 1);
  cluster.Exit("s-0", 1);
  cluster.Exit("s-0", 0);
  cluster.RunToSuccess("s-1", 0.5);
  ExpectTranscript(cluster, "sweep_of_two_trials");
}

TEST(Transcript, ALostWorkerCostsNoMoreThanAnEpoch) {
  Cluster cluster;
  const WorkerRef first = cluster.Register("w1", 1);
  cluster.Register("w2", 1);
  SweepSpec spec = GridSpec(2);
  spec.trials = 1;
  cluster.Submit("s", spec);
  cluster.AllReady("s-0");
  cluster.Report("s-0", 1, 0.5);
  cluster.Save("s-0", 1);
  cluster.Advance(5 * kSecond);
  cluster.Do(WorkerLost{first, "no heartbeat for 4 s"});
  cluster.ExitAborted("s-0", 1);
  cluster.Register("w1", 1, "b");
  cluster.PassNextDeadline();
  cluster.AllReady("s-0");
  cluster.Report("s-0", 2, 0.75);
  cluster.Exit("s-0", 0);
  cluster.Exit("s-0", 1);
  ExpectTranscript(cluster, "lost_worker");
}

TEST(Transcript, AStoppedSweepEndsItsMembersFirst) {
  Cluster cluster;
  cluster.Register("w1", 2);
  cluster.Submit("s", SpecOf(2, 2));
  cluster.AllReady("s-0");
  cluster.Do(SweepStopRequested{"s"});
  cluster.ExitAborted("s-0", 0);
  cluster.ExitAborted("s-0", 1);
  ExpectTranscript(cluster, "stopped_sweep");
}

}  // namespace
}  // namespace mead::core
