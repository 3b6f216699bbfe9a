// Ranks as threads of this process, over real connections.
#include "worker/train/comm/heartbeat.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "worker/train/comm/rendezvous.h"
#include "worker/train/comm/tcp.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr std::chrono::seconds kTimeout{60};  // only a test that fails waits for it

std::vector<std::unique_ptr<Heartbeat>> Gang(int world_size, std::chrono::milliseconds timeout) {
  const auto server = RendezvousStore::Serve("127.0.0.1", kTimeout);
  std::vector<std::unique_ptr<Heartbeat>> gang(static_cast<size_t>(world_size));
  std::vector<std::jthread> ranks;
  for (int rank = 0; rank < world_size; ++rank) {
    ranks.emplace_back([&, rank] {
      const auto store = rank == 0 ? server : RendezvousStore::Connect(server->address(), kTimeout);
      gang[static_cast<size_t>(rank)] = std::make_unique<Heartbeat>(
          CommunicatorOptions{.rank = rank, .world_size = world_size, .timeout = timeout}, *store);
    });
  }
  ranks.clear();
  return gang;
}

// Waits until `rank` sees it so.
void Until(Heartbeat& rank, const std::function<bool(const Roster&)>& seen) {
  const auto deadline = Clock::now() + kTimeout;
  while (!rank.Ask(seen)) {
    ASSERT_LT(Clock::now(), deadline);
    std::this_thread::yield();
  }
}

TEST(Heartbeat, EveryRankLearnsHowFarTheOthersAre) {
  const auto gang = Gang(3, std::chrono::seconds(2));
  for (int begun = 0; begun < 5; ++begun) gang[1]->Begin();
  gang[2]->Begin();
  for (const auto& rank : gang) {
    if (rank != gang[1]) Until(*rank, [](const Roster& r) { return r.entry(1).progress == 5; });
    if (rank != gang[2]) Until(*rank, [](const Roster& r) { return r.entry(2).progress == 1; });
  }
  EXPECT_EQ(gang[1]->progress(), 5);
}

TEST(Heartbeat, AnEndIsKnownToAll) {
  auto gang = Gang(3, std::chrono::hours(1));
  for (const size_t victim : {2, 0}) {
    gang[victim].reset();
    for (const auto& rank : gang) {
      if (rank == nullptr) continue;
      Until(*rank,
            [&](const Roster& r) { return r.entry(static_cast<int>(victim)).ended.has_value(); });
    }
  }
}

TEST(Heartbeat, AnAccusationReachesAllEvenIfTheAccuserEndsAtOnce) {
  for (const size_t accuser : {0, 2}) {
    auto gang = Gang(3, std::chrono::hours(1));
    gang[accuser]->Accuse(1);
    gang[accuser].reset();
    for (const auto& rank : gang) {
      if (rank == nullptr) continue;
      Until(*rank, [&](const Roster& r) {
        return r.accusation() && r.accusation()->rank == 1 &&
               r.accusation()->by == static_cast<int>(accuser);
      });
    }
  }
}

TEST(Heartbeat, OneRankAloneHasNobodyToTell) {
  const auto gang = Gang(1, std::chrono::seconds(1));
  gang[0]->Begin();
  gang[0]->Accuse(-1);
  EXPECT_EQ(gang[0]->progress(), 1);
}

TEST(Heartbeat, ARankThatNeverComesIsAPeerLost) {
  const auto store = RendezvousStore::Serve("127.0.0.1", kTimeout);
  try {
    const Heartbeat alone({.rank = 0, .world_size = 2, .timeout = std::chrono::milliseconds(50)},
                          *store);
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kPeerLost);
    EXPECT_THAT(error.what(), HasSubstr("nobody connected to 127.0.0.1:"));
  }
}

TEST(Tcp, StrangersAtTheDoorAreNoRanks) {
  const auto server = RendezvousStore::Serve("127.0.0.1", kTimeout);
  std::unique_ptr<Heartbeat> first;
  std::jthread serving([&] {
    first = std::make_unique<Heartbeat>(
        CommunicatorOptions{.rank = 0, .world_size = 2, .timeout = kTimeout}, *server);
  });
  const auto store = RendezvousStore::Connect(server->address(), kTimeout);
  // Says nothing and goes.
  const std::string door = store->Get("heartbeat/address");
  { const Descriptor stranger = ConnectTo(door); }
  const Heartbeat second({.rank = 1, .world_size = 2, .timeout = kTimeout}, *store);
  serving.join();
  Until(*first, [](const Roster& r) { return !r.entry(1).ended; });
}

}  // namespace
}  // namespace mead::train
