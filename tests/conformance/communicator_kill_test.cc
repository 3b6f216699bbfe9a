// Gangs of real processes that lose a rank in the middle of a collective.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "tests/support/child_process.h"

namespace mead::train {
namespace {

using ::testing::AllOf;
using testing::ChildProcess;
using ::testing::HasSubstr;
using Clock = std::chrono::steady_clock;

constexpr int kWorldSize = 3;
constexpr int kLostExit = 3;

using Gang = std::vector<std::unique_ptr<ChildProcess>>;

// A gang whose ranks are all in the middle of their sums.
Gang StartGang(const std::string& transport, int timeout_seconds) {
  Gang gang;
  std::string store = "serve";
  for (int rank = 0; rank < kWorldSize; ++rank) {
    gang.push_back(std::make_unique<ChildProcess>(
        std::vector<std::string>{COLLECTIVE_RANK, std::to_string(rank), std::to_string(kWorldSize),
                                 store, transport, std::to_string(timeout_seconds)}));
    const std::string address = gang.back()->ReadUntil("store ");
    if (rank == 0) store = address;
  }
  for (const auto& rank : gang) rank->ReadUntil("running");
  return gang;
}

class LostRank : public ::testing::TestWithParam<std::tuple<const char*, int>> {
 protected:
  std::string transport() const { return std::get<0>(GetParam()); }
  size_t victim() const { return static_cast<size_t>(std::get<1>(GetParam())); }
  std::string victim_name() const { return "rank " + std::to_string(victim()); }
};

TEST_P(LostRank, KilledIsNoticedAtOnceByAll) {
  constexpr int kTimeoutSeconds = 120;
  const Gang gang = StartGang(transport(), kTimeoutSeconds);
  const auto killed = Clock::now();
  gang[victim()]->Kill();
  for (size_t rank = 0; rank < kWorldSize; ++rank) {
    if (rank == victim()) continue;
    EXPECT_THAT(gang[rank]->ReadAll(), HasSubstr("error peer lost"));
    EXPECT_EQ(gang[rank]->Wait(), kLostExit);
  }
  const std::chrono::duration<double> took = Clock::now() - killed;
  std::printf("noticed and ended after %.3f s\n", took.count());
  EXPECT_LT(took.count(), kTimeoutSeconds / 2) << "it was the timeout that noticed";
}

TEST_P(LostRank, StoppedIsNamedAfterTheTimeout) {
  // A rank of a busy machine is not to be taken for a stopped one.
  const Gang gang = StartGang(transport(), /*timeout_seconds=*/15);
  gang[victim()]->Signal(SIGSTOP);
  for (size_t rank = 0; rank < kWorldSize; ++rank) {
    if (rank == victim()) continue;
    const std::string output = gang[rank]->ReadAll();
    EXPECT_THAT(output, HasSubstr("error peer lost"));
    // Gloo knows only its neighbour in the ring.
    if (transport() == "shm") {
      EXPECT_THAT(output, AllOf(HasSubstr(victim_name()), HasSubstr("collective ")));
    }
    EXPECT_EQ(gang[rank]->Wait(), kLostExit);
  }
}

INSTANTIATE_TEST_SUITE_P(Every, LostRank,
                         ::testing::Combine(::testing::Values("gloo", "shm"),
                                            ::testing::Values(0, 1)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param)) + "Rank" +
                                  std::to_string(std::get<1>(test.param));
                         });

}  // namespace
}  // namespace mead::train
