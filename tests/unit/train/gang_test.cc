// Gangs of real processes on this host, with the transport that they choose.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

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
  std::string checkpoint = "-";
  std::string flags = "n";  // gang_rank.cc explains them
  int pause_rank = -1;
  int pause_at = -1;
  std::vector<std::string> counts;
};

Gang StartGang(const GangOptions& options) {
  Gang gang;
  gang.address = "serve";
  for (int rank = 0; rank < options.world_size; ++rank) {
    std::vector<std::string> arguments = {
        GANG_RANK,
        std::to_string(rank),
        std::to_string(options.world_size),
        gang.address,
        rank == 0 ? options.checkpoint : "-",
        options.flags,
        std::to_string(rank == options.pause_rank ? options.pause_at : -1)};
    arguments.insert(arguments.end(), options.counts.begin(), options.counts.end());
    gang.ranks.push_back(std::make_unique<Rank>(std::move(arguments)));
    if (rank == 0 && options.world_size > 1) gang.address = gang.ranks[0]->ReadUntil("store ");
  }
  return gang;
}

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

// The largest difference of any float tensor of two checkpoints.
double LargestDifference(const std::string& a, const std::string& b) {
  const SafetensorsFile first = SafetensorsFile::Open(a);
  const SafetensorsFile second = SafetensorsFile::Open(b);
  EXPECT_EQ(first.tensors().size(), second.tensors().size());
  double largest = 0;
  for (const auto& [name, info] : first.tensors()) {
    if (info.dtype != DType::kF32) continue;
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

double LossOf(const std::string& line) { return std::stod(line.substr(5)); }

TEST(Gang, StepOfTwoRanksEqualsStepOfOneOnTheJoinedBatch) {
  const testing::TempDir dir;
  const std::vector<std::string> one =
      RunGang({.checkpoint = dir.Join("one"), .counts = {"8", "8", "8"}});
  const std::vector<std::string> two =
      RunGang({.world_size = 2, .checkpoint = dir.Join("two"), .counts = {"4,4", "4,4", "4,4"}});
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
  RunGang({.checkpoint = dir.Join("one"), .counts = {"7", "3", "1"}});
  const std::vector<std::string> three = RunGang(
      {.world_size = 3, .checkpoint = dir.Join("three"), .counts = {"3,2,2", "2,1,0", "1,0,0"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("three")), 1e-5);
  for (const std::string& output : three) EXPECT_THAT(output, HasSubstr("sums 6 3"));
}

TEST(Gang, TrainsWithBatchStatisticsOfItsOwnSlices) {
  RunGang({.world_size = 2, .flags = "-", .counts = {"4,4", "4,4", "2,0"}});
}

TEST(Gang, ChangesPhaseTogether) {
  const testing::TempDir dir;
  RunGang({.checkpoint = dir.Join("one"), .flags = "np", .counts = {"6", "6", "1"}});
  RunGang({.world_size = 2,
           .checkpoint = dir.Join("two"),
           .flags = "np",
           .counts = {"3,3", "3,3", "1,0"}});
  EXPECT_LT(LargestDifference(dir.Join("one"), dir.Join("two")), 1e-5);
}

TEST(Gang, HangingRankIsLostAfterTheTimeout) {
  Gang gang = StartGang(
      {.world_size = 2, .flags = "nt", .pause_rank = 1, .pause_at = 1, .counts = {"2,2", "2,2"}});
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
