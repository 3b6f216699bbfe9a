#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/core/cluster.h"

namespace mead::core {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Cluster Running(int keep_best, int keep_latest) {
  Cluster cluster;
  cluster.Register("w1", 1);
  SweepSpec spec = SpecOf(1, 1);
  spec.epochs = 9;
  spec.keep_best = keep_best;
  spec.keep_latest = keep_latest;
  cluster.Submit("s", spec);
  cluster.AllReady("s-0");
  return cluster;
}

// All that the trial refers to, without "sha256:".
std::vector<std::string> Kept(const Cluster& cluster) {
  const Trial& trial = cluster.trial("s-0");
  std::vector<std::string> kept;
  const auto add = [&](const Checkpoint& one) {
    if (!one.exists()) return;
    const std::string name = one.digest.substr(7);
    if (std::ranges::find(kept, name) == kept.end()) kept.push_back(name);
  };
  add(trial.best);
  for (const Checkpoint& one : trial.older) add(one);
  add(trial.latest);
  std::ranges::sort(kept);
  return kept;
}

void Epoch(Cluster& cluster, int epoch, double objective) {
  cluster.Report("s-0", epoch, objective);
  cluster.Save("s-0", epoch);
}

void Damaged(Cluster& cluster) {
  cluster.AllReady("s-0");
  cluster.Do(MemberExited{.worker = cluster.trial("s-0").gang.at(0).worker,
                          .trial = cluster.Ref("s-0"),
                          .rank = 0,
                          .kind = FailureKind::kInfrastructure,
                          .message = "the checkpoint is damaged",
                          .checkpoint_damaged = true});
}

TEST(Checkpoints, TheBestAndTheLatestAreKept) {
  Cluster cluster = Running(1, 1);
  Epoch(cluster, 1, 0.5);
  Epoch(cluster, 2, 0.9);
  EXPECT_THAT(Kept(cluster), ElementsAre("2"));
  Epoch(cluster, 3, 0.7);
  EXPECT_THAT(Kept(cluster), ElementsAre("2", "3"));
}

TEST(Checkpoints, AsManyOfTheBestAndOfTheLastAsTheSweepSays) {
  Cluster cluster = Running(2, 3);
  const double values[] = {0.8, 0.1, 0.9, 0.2, 0.3, 0.4};
  for (int epoch = 1; epoch <= 6; ++epoch) Epoch(cluster, epoch, values[epoch - 1]);
  EXPECT_THAT(Kept(cluster), ElementsAre("1", "3", "4", "5", "6"));
}

TEST(Checkpoints, OneInTheMidstOfAnEpochIsTheLatestAndNeverTheBest) {
  Cluster cluster = Running(1, 1);
  cluster.Save("s-0", 0, 5);
  EXPECT_EQ(cluster.trial("s-0").latest.step, 5);
  EXPECT_FALSE(cluster.trial("s-0").best.exists());
  Epoch(cluster, 1, 0.5);
  cluster.Save("s-0", 1, 5);
  EXPECT_THAT(Kept(cluster), ElementsAre("1", "1+5"));
  cluster.Save("s-0", 1, 4);  // late
  EXPECT_EQ(cluster.trial("s-0").latest.step, 5);
  EXPECT_EQ(cluster.trial("s-0").best.digest, "sha256:1");
}

TEST(Checkpoints, ARestartGoesOnWithinTheEpoch) {
  Cluster cluster = Running(1, 1);
  Epoch(cluster, 1, 0.5);
  cluster.Save("s-0", 1, 7);
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  EXPECT_THAT(cluster.trial("s-0").message,
              HasSubstr("from the checkpoint of epoch 2 after 7 steps"));
  EXPECT_EQ(cluster.trial("s-0").epochs_done, 1);
  cluster.PassNextDeadline();
  const auto assigned = cluster.Of<AssignMember>();
  ASSERT_EQ(assigned.size(), 1u);
  EXPECT_EQ(assigned[0].resume_epoch, 1);
  EXPECT_EQ(assigned[0].resume_step, 7);
  EXPECT_EQ(assigned[0].resume_digest, "sha256:1+7");
}

TEST(Checkpoints, ADamagedOneIsPassedOverOnceAndForgotten) {
  Cluster cluster = Running(1, 3);
  Epoch(cluster, 1, 0.9);
  Epoch(cluster, 2, 0.5);
  cluster.Save("s-0", 2, 4);
  cluster.Fail("s-0", 0, FailureKind::kInfrastructure, "node gone");
  cluster.PassNextDeadline();
  Damaged(cluster);
  EXPECT_THAT(cluster.trial("s-0").message,
              HasSubstr("from the checkpoint of epoch 2, as that of epoch 3 after 4 steps is "
                        "damaged"));
  EXPECT_THAT(Kept(cluster), ElementsAre("1", "2"));
  cluster.PassNextDeadline();
  Damaged(cluster);
  EXPECT_EQ(cluster.trial("s-0").epochs_done, 1);
  EXPECT_THAT(Kept(cluster), ElementsAre("1"));
  cluster.PassNextDeadline();
  Damaged(cluster);
  EXPECT_THAT(cluster.trial("s-0").message, HasSubstr("from the beginning, as that of epoch 1"));
  EXPECT_THAT(Kept(cluster), IsEmpty());
  EXPECT_FALSE(cluster.trial("s-0").has_best);
}

TEST(Checkpoints, ForRoomAnEndedTrialLetsGoOfAllButItsBest) {
  Cluster cluster = Running(1, 2);
  Epoch(cluster, 1, 0.9);
  Epoch(cluster, 2, 0.5);
  Epoch(cluster, 3, 0.4);
  const CheckpointsDropped drop{{"sha256:1", "sha256:2", "sha256:3"}};
  cluster.Do(drop);
  EXPECT_THAT(Kept(cluster), ElementsAre("1", "3")) << "it runs: the latest stays";
  cluster.Exit("s-0", 0);
  cluster.Do(drop);
  EXPECT_THAT(Kept(cluster), ElementsAre("1"));
  EXPECT_EQ(cluster.trial("s-0").state, TrialState::kSucceeded);
}

}  // namespace
}  // namespace mead::core
