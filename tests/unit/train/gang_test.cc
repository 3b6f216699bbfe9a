// Gangs of real processes on this host, with the transport that they choose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "tests/support/child_process.h"
#include "tests/support/temp_dir.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/errors.h"
#include "worker/train/state/safetensors.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

using Rank = ::mead::testing::ChildProcess;  // a gang_rank

struct Gang {
  std::vector<std::unique_ptr<Rank>> ranks;
  std::string address;
};

struct GangOptions {
  int world_size = 1;
  std::vector<std::string> settings = {"flags=n"};  // gang_rank.cc explains them
  int pause_rank = -1;
  int pause_at = -1;
  std::vector<std::string> counts;
};

Gang StartGang(const GangOptions& options) {
  Gang gang;
  gang.address = "serve";
  for (int rank = 0; rank < options.world_size; ++rank) {
    std::vector<std::string> arguments = {GANG_RANK, std::to_string(rank),
                                          std::to_string(options.world_size), gang.address};
    arguments.insert(arguments.end(), options.settings.begin(), options.settings.end());
    if (rank == options.pause_rank) {
      arguments.push_back("pause_at=" + std::to_string(options.pause_at));
    }
    arguments.insert(arguments.end(), options.counts.begin(), options.counts.end());
    gang.ranks.push_back(std::make_unique<Rank>(std::move(arguments)));
    if (rank == 0 && options.world_size > 1) gang.address = gang.ranks[0]->ReadUntil("store ");
  }
  return gang;
}

std::string Save(const std::string& path) { return "save=" + path; }

std::vector<std::string> LinesWith(const std::string& text, const std::string& prefix) {
  std::vector<std::string> lines;
  std::stringstream stream(text);
  for (std::string line; std::getline(stream, line);) {
    if (line.starts_with(prefix)) lines.push_back(line);
  }
  return lines;
}

// Runs a gang to its end; returns what each rank printed.
std::vector<std::string> RunGang(const GangOptions& options) {
  Gang gang = StartGang(options);
  std::vector<std::string> outputs;
  for (auto& rank : gang.ranks) outputs.push_back(rank->ReadAll());
  for (size_t i = 0; i < gang.ranks.size(); ++i) EXPECT_EQ(gang.ranks[i]->Wait(), 0) << outputs[i];
  return outputs;
}

// The largest difference of any float tensor of two checkpoints, but for those whose
// names begin with `but`.
double LargestDifference(const std::string& a, const std::string& b, const std::string& but = "-") {
  const SafetensorsFile first = SafetensorsFile::Open(a);
  const SafetensorsFile second = SafetensorsFile::Open(b);
  EXPECT_EQ(first.tensors().size(), second.tensors().size());
  double largest = 0;
  for (const auto& [name, info] : first.tensors()) {
    if (info.dtype != DType::kF32 || name.starts_with(but)) continue;
    std::vector<float> x(static_cast<size_t>(info.bytes / 4));
    std::vector<float> y(x.size());
    first.Read(info, x.data());
    second.Read(second.tensors().at(name), y.data());
    for (size_t i = 0; i < x.size(); ++i) {
      largest = std::max(largest, std::fabs(static_cast<double>(x[i]) - y[i]));
    }
  }
  return largest;
}

std::string Bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

double LossOf(const std::string& line) { return std::stod(line.substr(5)); }

TEST(Gang, StepOfTwoRanksEqualsStepOfOneOnTheJoinedBatch) {
  const testing::TempDir dir;
  const std::vector<std::string> one =
      RunGang({.settings = {"flags=n", Save(dir.Join("one"))}, .counts = {"8", "8", "8"}});
  const std::vector<std::string> two = RunGang({.world_size = 2,
                                                .settings = {"flags=n", Save(dir.Join("two"))},
                                                .counts = {"4,4", "4,4", "4,4"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("two")), 1e-5);
  const auto expected = LinesWith(one[0], "step");
  const auto losses = LinesWith(two[0], "step");
  ASSERT_EQ(losses.size(), 3u);
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(LossOf(losses[i]), LossOf(expected[i]), 1e-5);
  // Every rank knows the gang's figures.
  EXPECT_EQ(LinesWith(two[1], "step"), losses);
}

TEST(Gang, UnevenAndEmptySlicesCountEachPictureOnce) {
  const testing::TempDir dir;
  RunGang({.settings = {"flags=n", Save(dir.Join("one"))}, .counts = {"7", "3", "1"}});
  const std::vector<std::string> three = RunGang({.world_size = 3,
                                                  .settings = {"flags=n", Save(dir.Join("three"))},
                                                  .counts = {"3,2,2", "2,1,0", "1,0,0"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("three")), 1e-5);
  for (const std::string& output : three) EXPECT_THAT(output, HasSubstr("sums 6 3"));
}

TEST(Gang, TrainsWithBatchStatisticsOfItsOwnSlices) {
  RunGang({.world_size = 2, .settings = {}, .counts = {"4,4", "4,4", "2,0"}});
}

TEST(Gang, ChangesPhaseTogether) {
  const testing::TempDir dir;
  RunGang({.settings = {"flags=np", Save(dir.Join("one"))}, .counts = {"6", "6", "1"}});
  RunGang({.world_size = 2,
           .settings = {"flags=np", Save(dir.Join("two"))},
           .counts = {"3,3", "3,3", "1,0"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("two")), 1e-5);
}

TEST(Gang, HangingRankIsLostAfterTheTimeout) {
  Gang gang = StartGang({.world_size = 2,
                         .settings = {"flags=nt"},
                         .pause_rank = 1,
                         .pause_at = 1,
                         .counts = {"2,2", "2,2"}});
  EXPECT_THAT(gang.ranks[0]->ReadAll(), HasSubstr("error peer lost"));
  EXPECT_EQ(gang.ranks[0]->Wait(), 3);
}

class KilledRank : public ::testing::TestWithParam<int> {};

TEST_P(KilledRank, EndsTheOthersWithPeerLostInSeconds) {
  const int victim = GetParam();
  Gang gang = StartGang({.world_size = 3,
                         .pause_rank = victim,
                         .pause_at = 1,
                         .counts = {"2,2,2", "2,2,2", "2,2,2"}});
  gang.ranks[static_cast<size_t>(victim)]->ReadUntil("paused");
  const auto killed = Clock::now();
  gang.ranks[static_cast<size_t>(victim)]->Kill();
  for (int rank = 0; rank < 3; ++rank) {
    if (rank == victim) continue;
    EXPECT_THAT(gang.ranks[static_cast<size_t>(rank)]->ReadAll(), HasSubstr("error peer lost"));
    EXPECT_EQ(gang.ranks[static_cast<size_t>(rank)]->Wait(), 3);
  }
  // Seconds when idle; far from the timeout of a minute even on a busy machine.
  const std::chrono::duration<double> took = Clock::now() - killed;
  std::printf("noticed and ended after %.2f s\n", took.count());
  EXPECT_LT(took.count(), 20);
}

INSTANTIATE_TEST_SUITE_P(Victims, KilledRank, ::testing::Values(0, 1));

// The moments of a step are tried out: from its forward pass over the sums of
// buckets to the optimizer.
TEST(Gang, RankKilledAnywhereInAStepEndsTheOther) {
  for (const char* flags : {"flags=n", "flags=nv"}) {
    for (const int after_ms : {0, 20, 40}) {
      const std::vector<std::string> counts(200, "8,8");
      Gang gang =
          StartGang({.world_size = 2, .settings = {flags, "image_size=64"}, .counts = counts});
      gang.ranks[1]->ReadUntil("step ");
      gang.ranks[1]->ReadUntil("step ");
      std::this_thread::sleep_for(std::chrono::milliseconds(after_ms));
      const auto killed = Clock::now();
      gang.ranks[1]->Kill();
      EXPECT_EQ(gang.ranks[1]->Wait(), -SIGKILL);
      EXPECT_THAT(gang.ranks[0]->ReadAll(), HasSubstr("error peer lost"));
      EXPECT_EQ(gang.ranks[0]->Wait(), 3);
      EXPECT_LT(std::chrono::duration<double>(Clock::now() - killed).count(), 20);
    }
  }
}

// The class of picture i of a step, as gang_rank draws it.
int LabelOf(uint64_t step, uint64_t i) {
  return static_cast<int>(Rng::ForKey(17, step, i).Below(4));
}

// A class with a logit of minus infinity harms the pictures of that class alone: their
// loss is infinite, though all gradients are finite.
TEST(Gang, InfiniteLossOfOneRankEndsAllWithItsNameAndTheWeightsBefore) {
  const testing::TempDir dir;
  const int barred = LabelOf(0, 1);
  ASSERT_NE(LabelOf(0, 0), barred);
  std::vector<float> bias(4, 0);
  bias[static_cast<size_t>(barred)] = -std::numeric_limits<float>::infinity();
  const std::string weights = dir.Join("weights");
  WriteSafetensors(weights, {{.name = "fc.bias", .shape = {4}, .data = bias.data()}}, {});
  for (const std::string flags : {"flags=n", "flags=nb"}) {
    auto run = [&](int ranks, const std::string& counts) {
      Gang gang = StartGang(
          {.world_size = ranks,
           .settings = {flags, "weights=" + weights, Save(dir.Join(std::to_string(ranks)))},
           .counts = {counts}});
      std::vector<std::string> outputs;
      for (auto& rank : gang.ranks) outputs.push_back(rank->ReadAll());
      for (auto& rank : gang.ranks) EXPECT_EQ(rank->Wait(), 4);
      return outputs;
    };
    for (const std::string& output : run(2, "1,1")) {
      EXPECT_THAT(output, HasSubstr("error diverged: the loss is inf (rank 1) at step 0 "));
    }
    // Another gradient; neither has moved anything.
    run(1, "4");
    EXPECT_TRUE(Bytes(dir.Join("1")) == Bytes(dir.Join("2")));
  }
}

// Weights with which only some pictures have a gradient, and that is not finite in the
// middle of the network, while every loss is. Pictures of the first class, which wins by
// far, have a gradient of exactly zero; what the others' is multiplied with on its way
// back through layer2's first batch-norm overflows. Forward, tiny weights before it make
// up for that.
void WriteOverflowingWeights(const std::string& path) {
  constexpr float kHuge = 1e36F;
  std::vector<float> bias(4, -1e30F);
  bias[static_cast<size_t>(LabelOf(0, 0))] = 0;
  std::vector<float> classifier(4 * 512);
  std::vector<float> convolution(128 * 64 * 3 * 3);
  Rng rng(1);
  for (float& weight : classifier) weight = static_cast<float>(rng.Uniform(-1e10, 1e10));
  for (float& weight : convolution) weight = static_cast<float>(rng.Uniform(-1, 1)) / kHuge;
  const std::vector<float> gamma(128, kHuge);
  WriteSafetensors(
      path,
      {{.name = "fc.bias", .shape = {4}, .data = bias.data()},
       {.name = "fc.weight", .shape = {4, 512}, .data = classifier.data()},
       {.name = "layer2.0.conv1.weight", .shape = {128, 64, 3, 3}, .data = convolution.data()},
       {.name = "layer2.0.bn1.weight", .shape = {128}, .data = gamma.data()}},
      {});
}

TEST(Gang, OverflowingGradientOfOneRankEndsAllWithItsNameAndTheWeightsBefore) {
  const testing::TempDir dir;
  ASSERT_NE(LabelOf(0, 0), LabelOf(0, 1));
  const std::string weights = dir.Join("weights");
  WriteOverflowingWeights(weights);
  struct Variant {
    std::vector<std::string> settings;
    std::string counts;
    int rank;  // that is to be named
  };
  const std::vector<Variant> variants = {
      {{"flags=n"}, "1,1", 1},  {{"flags=n", "transport=gloo"}, "1,1", 1},
      {{"flags=nb"}, "1,1", 1}, {{"flags=n", "micro_batch=1"}, "2,0", 0},  // in its second piece
      {{"flags=nv"}, "2,0", 0},  // in its second virtual rank
  };
  for (const Variant& variant : variants) {
    GangOptions options{.world_size = 2, .settings = variant.settings, .counts = {variant.counts}};
    options.settings.push_back("weights=" + weights);
    options.settings.push_back(Save(dir.Join("after")));
    Gang gang = StartGang(options);
    for (auto& rank : gang.ranks) {
      EXPECT_THAT(rank->ReadAll(),
                  HasSubstr("error diverged: the gradient of rank " + std::to_string(variant.rank) +
                            " is not finite (the loss is "))
          << ::testing::PrintToString(variant.settings);
    }
    for (auto& rank : gang.ranks) EXPECT_EQ(rank->Wait(), 4);
    const SafetensorsFile before = SafetensorsFile::Open(weights);
    const SafetensorsFile after = SafetensorsFile::Open(dir.Join("after"));
    for (const auto& [name, info] : before.tensors()) {
      std::vector<char> x(static_cast<size_t>(info.bytes)), y(x.size());
      before.Read(info, x.data());
      after.Read(after.tensors().at(name), y.data());
      EXPECT_TRUE(x == y) << name;
    }
  }
}

TEST(Gang, FrozenBodyAndEmptySlicesInBfloat16EqualOneRank) {
  const auto one = RunGang({.settings = {"flags=nbp"}, .counts = {"6", "3", "1"}});
  const auto two =
      RunGang({.world_size = 2, .settings = {"flags=nbp"}, .counts = {"3,3", "2,1", "1,0"}});
  const auto expected = LinesWith(one[0], "step");
  const auto losses = LinesWith(two[0], "step");
  ASSERT_EQ(losses.size(), 3u);
  // Gradients in bfloat16 are rounded per rank.
  for (size_t i = 0; i < 3; ++i) EXPECT_NEAR(LossOf(losses[i]), LossOf(expected[i]), 2e-2);
}

// The last picture of a rank's slice is mixed with one that another rank has.
TEST(Gang, MixedPicturesOfTwoRanksEqualThoseOfOne) {
  const testing::TempDir dir;
  const auto one = RunGang(
      {.settings = {"flags=nm", Save(dir.Join("one"))}, .counts = {"8", "7", "1", "8", "8"}});
  const auto two = RunGang({.world_size = 2,
                            .settings = {"flags=nm", "micro_batch=3", Save(dir.Join("two"))},
                            .counts = {"6,2", "4,3", "1,0", "4,4", "0,8"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("two")), 1e-5);
  const auto plain = RunGang({.settings = {"flags=n"}, .counts = {"8", "7", "1", "8", "8"}});
  EXPECT_NE(LinesWith(one[0], "step"), LinesWith(plain[0], "step"));
  EXPECT_EQ(LinesWith(two[1], "step"), LinesWith(two[0], "step"));
}

TEST(Gang, PiecesOfARankEqualItsWholeSlice) {
  const testing::TempDir dir;
  RunGang({.settings = {"flags=n", Save(dir.Join("one"))}, .counts = {"8", "7", "1"}});
  // The ranks have different numbers of pieces.
  RunGang({.world_size = 2,
           .settings = {"flags=n", "micro_batch=3", Save(dir.Join("two"))},
           .counts = {"6,2", "7,0", "1,0"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("two")), 1e-5);
}

// --- gradients in bfloat16 between ranks ----------------------------------------------

class RoundedGradients : public ::testing::TestWithParam<const char*> {};

TEST_P(RoundedGradients, KeepRanksEqualToTheBitAndNearTheExactOnesAndNoFigureIsRounded) {
  const testing::TempDir dir;
  auto run = [&](const std::string& flags) {
    return RunGang({.world_size = 2,
                    .settings = {"flags=" + flags, "copies=" + dir.Join(flags),
                                 std::string("transport=") + GetParam()},
                    .counts = {"32,31", "8,7", "8,8", "8,0"}});
  };
  const auto exact = LinesWith(run("n")[0], "step");
  const auto outputs = run("nw");
  const auto rounded = LinesWith(outputs[0], "step");
  ASSERT_EQ(rounded.size(), 4u);
  EXPECT_EQ(LinesWith(outputs[1], "step"), rounded);
  EXPECT_TRUE(Bytes(dir.Join("nw.0")) == Bytes(dir.Join("nw.1")));
  const double difference = LargestDifference(dir.Join("n.0"), dir.Join("nw.0"), "optimizer.");
  EXPECT_GT(difference, 0);
  EXPECT_LT(difference, 1e-3);
  for (size_t i = 0; i < 4; ++i) EXPECT_NEAR(LossOf(rounded[i]), LossOf(exact[i]), 1e-2);
  // The first step's are of the same weights, and in bfloat16 the loss would show it.
  EXPECT_EQ(rounded[0], exact[0]);
}

INSTANTIATE_TEST_SUITE_P(Transports, RoundedGradients, ::testing::Values("shm", "gloo"),
                         [](const auto& transport) { return std::string(transport.param); });

// --- the same bits, whatever the number of ranks -------------------------------------

// 10 pictures in 4 virtual ranks: 3, 3, 2, 2; and a last batch that leaves one without.
const std::map<int, std::pair<std::string, std::string>>& Shares() {
  static const std::map<int, std::pair<std::string, std::string>> shares = {
      {1, {"10", "3"}}, {2, {"6,4", "2,1"}}, {4, {"3,3,2,2", "1,1,1,0"}}};
  return shares;
}

// Three epochs of two steps.
std::vector<std::string> Batches(int world_size) {
  const auto& [whole, last] = Shares().at(world_size);
  return {whole, last, whole, last, whole, last};
}

struct Sameness {
  const char* flags;
  const char* transport;
};

class Deterministic : public ::testing::TestWithParam<Sameness> {
 protected:
  std::vector<std::string> Settings(const std::string& checkpoint) const {
    return {std::string("flags=") + GetParam().flags, "epoch=2", Save(checkpoint)};
  }
  std::vector<std::string> GangSettings(const std::string& checkpoint) const {
    std::vector<std::string> settings = Settings(checkpoint);
    settings.push_back(std::string("transport=") + GetParam().transport);
    return settings;
  }
};

TEST_P(Deterministic, LossesAndCheckpointsOfOneTwoAndFourRanksHaveTheSameBits) {
  const testing::TempDir dir;
  const auto one = RunGang({.settings = Settings(dir.Join("1")), .counts = Batches(1)});
  const auto expected = LinesWith(one[0], "step");
  ASSERT_EQ(expected.size(), 6u);
  for (const int ranks : {2, 4}) {
    const std::string checkpoint = dir.Join(std::to_string(ranks));
    const auto outputs = RunGang(
        {.world_size = ranks, .settings = GangSettings(checkpoint), .counts = Batches(ranks)});
    for (const std::string& output : outputs) EXPECT_EQ(LinesWith(output, "step"), expected);
    EXPECT_TRUE(Bytes(checkpoint) == Bytes(dir.Join("1")));
  }
}

TEST_P(Deterministic, GangKilledInAStepGoesOnWithTheSameBitsOnOtherNumbersOfRanks) {
  const testing::TempDir dir;
  const auto whole = RunGang({.settings = Settings(dir.Join("whole")), .counts = Batches(1)});
  const auto expected = LinesWith(whole[0], "step");
  ASSERT_EQ(expected.size(), 6u);
  // Rank 0 is in the fourth step, of the second epoch, and waits for rank 1.
  Gang gang = StartGang({.world_size = 2,
                         .settings = GangSettings(dir.Join("middle")),
                         .pause_rank = 1,
                         .pause_at = 3,
                         .counts = Batches(2)});
  gang.ranks[1]->ReadUntil("paused");
  gang.ranks[1]->Kill();
  const std::string before = gang.ranks[0]->ReadAll();
  EXPECT_EQ(gang.ranks[0]->Wait(), 3) << before;
  EXPECT_EQ(LinesWith(before, "step"),
            std::vector<std::string>(expected.begin(), expected.begin() + 3));
  const std::vector<std::string> rest(expected.begin() + 2, expected.end());
  for (const int ranks : {1, 4}) {
    const std::string checkpoint = dir.Join("resumed on " + std::to_string(ranks));
    std::vector<std::string> settings =
        ranks == 1 ? Settings(checkpoint) : GangSettings(checkpoint);
    settings.push_back("resume=" + dir.Join("middle"));
    const auto outputs =
        RunGang({.world_size = ranks, .settings = settings, .counts = Batches(ranks)});
    for (const std::string& output : outputs) EXPECT_EQ(LinesWith(output, "step"), rest);
    EXPECT_TRUE(Bytes(checkpoint) == Bytes(dir.Join("whole")));
  }
}

TEST_P(Deterministic, GangKilledWithinAnEpochGoesOnWithinItOnOtherNumbersOfRanks) {
  const testing::TempDir dir;
  const std::string flags = std::string("flags=") + GetParam().flags;
  const auto settings = [&](const std::string& checkpoint) {
    return std::vector<std::string>{flags, "epoch=6", "every=2", Save(dir.Join(checkpoint))};
  };
  const auto whole = RunGang({.settings = settings("whole"), .counts = Batches(1)});
  const auto expected = LinesWith(whole[0], "step");
  ASSERT_EQ(expected.size(), 6u);
  Gang gang = StartGang({.world_size = 2,
                         .settings = settings("middle"),
                         .pause_rank = 1,
                         .pause_at = 3,
                         .counts = Batches(2)});
  gang.ranks[1]->ReadUntil("paused");
  gang.ranks[1]->Kill();
  EXPECT_EQ((gang.ranks[0]->ReadAll(), gang.ranks[0]->Wait()), 3);
  const std::vector<std::string> rest(expected.begin() + 2, expected.end());
  for (const int ranks : {1, 4}) {
    const std::string checkpoint = "resumed on " + std::to_string(ranks);
    std::vector<std::string> again = settings(checkpoint);
    again.push_back("resume=" + dir.Join("middle"));
    const auto outputs =
        RunGang({.world_size = ranks, .settings = again, .counts = Batches(ranks)});
    for (const std::string& output : outputs) EXPECT_EQ(LinesWith(output, "step"), rest);
    EXPECT_TRUE(Bytes(dir.Join(checkpoint)) == Bytes(dir.Join("whole")));
  }
}

// Batch-norm in training and SGD with momentum in all of them.
INSTANTIATE_TEST_SUITE_P(Runs, Deterministic,
                         ::testing::Values(Sameness{"v", "shm"}, Sameness{"vb", "gloo"},
                                           Sameness{"vbce", "shm"}, Sameness{"vm", "shm"}),
                         [](const auto& run) {
                           return std::string(run.param.flags) + "_" + run.param.transport;
                         });

TEST(Rendezvous, StoreThatIsNotThereIsAPeerLost) {
  std::string address;
  {
    const auto store = RendezvousStore::Serve("127.0.0.1", std::chrono::seconds(5));
    address = store->address();
  }
  try {
    RendezvousStore::Connect(address, std::chrono::milliseconds(500));
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPeerLost);
    EXPECT_THAT(error.what(), HasSubstr(address));
  }
}

TEST(Rendezvous, CarriesBytesBetweenRanks) {
  const auto server = RendezvousStore::Serve("127.0.0.1", std::chrono::seconds(10));
  const auto client = RendezvousStore::Connect(server->address(), std::chrono::seconds(10));
  const std::string bytes("a\0b\xff", 4);
  client->Set("key", bytes);
  EXPECT_EQ(server->Get("key"), bytes);
}

TEST(Rendezvous, BadAddressesAreUserErrors) {
  for (const char* address : {"nowhere", "127.0.0.1:", "127.0.0.1:99999", ":80", "127.0.0.1:80x"}) {
    try {
      RendezvousStore::Connect(address, std::chrono::milliseconds(100));
      FAIL() << address;
    } catch (const TrainError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kUserError) << address;
    }
  }
  // TEST-NET-1 is no address of this machine.
  EXPECT_THROW(RendezvousStore::Serve("192.0.2.1", std::chrono::seconds(1)), TrainError);
}

}  // namespace
}  // namespace mead::train
