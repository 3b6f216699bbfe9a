// The parts of the shared-memory transport that need no gang.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/rng.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/comm/shm_arena.h"
#include "worker/train/comm/shm_counter.h"
#include "worker/train/comm/shm_meeting.h"
#include "worker/train/comm/shm_segment.h"
#include "worker/train/comm/shm_sum.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;
using Outcome = ShmCounter::Outcome;

constexpr std::chrono::seconds kTimeout{120};

template <typename T>
std::vector<T> SumOf(std::vector<std::vector<T>> parts, ShmType type) {
  std::vector<std::byte*> pointers;
  for (auto& part : parts) pointers.push_back(reinterpret_cast<std::byte*>(part.data()));
  const auto elements = static_cast<int64_t>(parts[0].size());
  SumIntoAll(pointers, type, {.begin = 0, .end = elements});
  for (const auto& part : parts) {
    EXPECT_EQ(std::memcmp(part.data(), parts[0].data(), part.size() * sizeof(T)), 0);
  }
  return parts[0];
}

TEST(ShmSum, AddsInTheOrderOfRanks) {
  // (1 + 2^24) - 2^24 is 0 in float32, and 1 + (2^24 - 2^24) would be 1.
  const float large = 16777216.0F;
  EXPECT_EQ(SumOf<float>({{1.0F}, {large}, {-large}}, ShmType::kFloat32)[0], 0.0F);
  EXPECT_EQ(SumOf<float>({{large}, {-large}, {1.0F}}, ShmType::kFloat32)[0], 1.0F);
}

TEST(ShmSum, RoundsBfloat16OnceToNearestEven) {
  const auto bits = [](float value) {
    return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16);
  };
  // 256 + 1 lies between 256 and 258 and would be 256 each time; both at once are 258.
  EXPECT_EQ(SumOf<uint16_t>({{bits(256)}, {bits(1)}, {bits(1)}}, ShmType::kBfloat16)[0], bits(258));
  EXPECT_EQ(SumOf<uint16_t>({{bits(256)}, {bits(1)}}, ShmType::kBfloat16)[0], bits(256));
  EXPECT_EQ(SumOf<uint16_t>({{bits(258)}, {bits(1)}}, ShmType::kBfloat16)[0], bits(260));
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(SumOf<uint16_t>({{bits(infinity)}, {bits(1)}}, ShmType::kBfloat16)[0], bits(infinity));
  const uint16_t nan =
      SumOf<uint16_t>({{bits(infinity)}, {bits(-infinity)}}, ShmType::kBfloat16)[0];
  EXPECT_TRUE(std::isnan(std::bit_cast<float>(uint32_t{nan} << 16)));
}

TEST(ShmSum, IntegersAreExactAndWrap) {
  const uint64_t most = std::numeric_limits<uint64_t>::max();
  EXPECT_EQ(SumOf<uint64_t>({{most, 1}, {2, uint64_t{1} << 62}}, ShmType::kInt64),
            (std::vector<uint64_t>{1, (uint64_t{1} << 62) + 1}));
}

TEST(ShmSum, SharesCoverEveryElementOnce) {
  for (const int world_size : {1, 2, 3, 4, 7}) {
    for (const int64_t elements : {0, 1, 31, 32, 33, 100, 4096, 100003}) {
      int64_t end = 0;
      for (int rank = 0; rank < world_size; ++rank) {
        const ShmShare share = ShareOf(elements, rank, world_size);
        EXPECT_EQ(share.begin, end);
        EXPECT_TRUE(share.begin % 32 == 0 || share.begin == elements) << "amid a cache line";
        end = share.end;
      }
      EXPECT_EQ(end, elements);
    }
  }
}

TEST(ShmArena, BlocksNeverOverlapAndAllComesBack) {
  constexpr uint64_t kCapacity = uint64_t{1} << 22;
  ShmArena arena(kCapacity);
  Rng rng(3);
  struct Block {
    uint64_t offset;
    uint64_t bytes;
  };
  std::vector<Block> blocks;
  for (int round = 0; round < 5000; ++round) {
    const uint64_t bytes = rng.Below(100000);
    if (const auto offset = arena.Allocate(bytes)) {
      EXPECT_LE(*offset + bytes, kCapacity);
      for (const Block& other : blocks) {
        EXPECT_TRUE(*offset >= other.offset + other.bytes || *offset + bytes <= other.offset);
      }
      blocks.push_back({*offset, std::max<uint64_t>(bytes, 1)});
    }
    if (blocks.size() > rng.Below(80)) {
      std::swap(blocks[rng.Below(blocks.size())], blocks.back());
      arena.Free(blocks.back().offset);
      blocks.pop_back();
    }
  }
  for (const Block& block : blocks) arena.Free(block.offset);
  EXPECT_EQ(arena.Allocate(kCapacity), 0u) << "holes were not joined";
  EXPECT_EQ(arena.Allocate(1), std::nullopt);
}

TEST(ShmCounter, WaitsForACountATimeoutOrABreak) {
  ShmCounter counter;
  EXPECT_EQ(counter.WaitFor(0, ShmCounter::kNever), Outcome::kReached);
  const auto soon = std::chrono::steady_clock::now() + std::chrono::milliseconds(1);
  EXPECT_EQ(counter.WaitFor(1, soon), Outcome::kTimedOut);
  {
    const std::jthread other([&] { counter.Advance(); });
    EXPECT_EQ(counter.WaitFor(1, ShmCounter::kNever), Outcome::kReached);
  }
  {
    const std::jthread other([&] { counter.Break(); });
    EXPECT_EQ(counter.WaitFor(2, ShmCounter::kNever), Outcome::kBroken);
  }
  EXPECT_EQ(counter.WaitFor(1, ShmCounter::kNever), Outcome::kReached) << "what ended has ended";
}

TEST(ShmSegment, IsOneMemoryForAllWhoMapIt) {
  const auto first = ShmSegment::Create(2);
  const auto second = ShmSegment::Attach(Descriptor(dup(first->descriptor())), 2);
  first->rank(1).posted.Advance();
  EXPECT_TRUE(second->rank(1).posted.Reached(1));
  *first->arena(1) = std::byte{42};
  EXPECT_EQ(*second->arena(1), std::byte{42});
  EXPECT_EQ(first->OffsetIn(1, first->arena(1) + 8, 16), 8u);
  EXPECT_EQ(first->OffsetIn(0, first->arena(1), 16), std::nullopt);
  EXPECT_EQ(first->OffsetIn(1, second->arena(1), 16), std::nullopt);
  EXPECT_EQ(first->OffsetIn(1, first->arena(1) + ShmSegment::kArenaBytes - 8, 16), std::nullopt);
}

TEST(ShmSegment, BelievesTheFirstFault) {
  const auto segment = ShmSegment::Create(3);
  EXPECT_EQ(segment->fault().kind, ShmFault::Kind::kNone);
  segment->Break({.kind = ShmFault::Kind::kStalled, .rank = 2, .by = 1});
  segment->Break({.kind = ShmFault::Kind::kEnded, .rank = 1});
  EXPECT_EQ(segment->fault().kind, ShmFault::Kind::kStalled);
  EXPECT_EQ(segment->fault().rank, 2);
  EXPECT_EQ(segment->fault().by, 1);
}

// Lets two ranks meet, each in a thread; `before` runs on rank 1's, once it has
// reached the store.
std::vector<ShmMeeting> Meet(const std::vector<Transport>& transports, void (*before)() = nullptr) {
  const auto server = RendezvousStore::Serve("127.0.0.1", kTimeout);
  std::vector<ShmMeeting> meetings(2);
  const auto come = [&](int rank, RendezvousStore& store) {
    CommunicatorOptions options{.rank = rank, .world_size = 2};
    options.transport = transports[static_cast<size_t>(rank)];
    options.timeout = kTimeout;
    meetings[static_cast<size_t>(rank)] = MeetOnOneHost(options, store);
  };
  std::jthread other([&] {
    const auto store = RendezvousStore::Connect(server->address(), kTimeout);
    if (before != nullptr) before();
    come(1, *store);
  });
  come(0, *server);
  other.join();
  return meetings;
}

TEST(ShmMeeting, GivesRanksOfOneHostOneMemoryAndAConnection) {
  const std::vector<ShmMeeting> meetings = Meet({Transport::kAuto, Transport::kShm});
  ASSERT_NE(meetings[0].segment, nullptr) << meetings[0].why_not;
  ASSERT_NE(meetings[1].segment, nullptr) << meetings[1].why_not;
  *meetings[0].segment->arena(1) = std::byte{7};
  EXPECT_EQ(*meetings[1].segment->arena(1), std::byte{7});
  EXPECT_EQ(meetings[0].links.size(), 1u);
  EXPECT_EQ(meetings[0].links[0].rank, 1);
  EXPECT_EQ(meetings[1].links[0].rank, 0);
}

TEST(ShmMeeting, OneRankToldToUseGlooIsEnough) {
  for (const ShmMeeting& meeting : Meet({Transport::kAuto, Transport::kGloo})) {
    EXPECT_EQ(meeting.segment, nullptr);
    EXPECT_THAT(meeting.why_not, HasSubstr("told to use Gloo, rank 1"));
  }
}

TEST(ShmMeeting, RanksOfTwoNetworkNamespacesGoApartTogether) {
  static bool moved;
  moved = false;
  const std::vector<ShmMeeting> meetings =
      Meet({Transport::kAuto, Transport::kAuto}, [] { moved = unshare(CLONE_NEWNET) == 0; });
  if (!moved) GTEST_SKIP() << "needs the right to make a network namespace";
  for (const ShmMeeting& meeting : meetings) {
    EXPECT_EQ(meeting.segment, nullptr);
    EXPECT_THAT(meeting.why_not, HasSubstr("rank 1: connecting to rank 0"));
  }
}

// Two ranks of one gang, each in a thread; what they throw is their result.
std::vector<std::string> Errors(const std::vector<Transport>& transports,
                                void (*body)(Communicator&)) {
  const auto server = RendezvousStore::Serve("127.0.0.1", kTimeout);
  std::vector<std::string> errors(2);
  const auto run = [&](int rank) {
    try {
      CommunicatorOptions options{.rank = rank, .world_size = 2};
      options.transport = transports[static_cast<size_t>(rank)];
      options.timeout = kTimeout;
      body(*MakeCommunicator(
          options, rank == 0 ? server : RendezvousStore::Connect(server->address(), kTimeout)));
    } catch (const TrainError& error) {
      errors[static_cast<size_t>(rank)] =
          std::string(ErrorKindName(error.kind())) + ": " + error.what();
    }
  };
  std::jthread other([&] { run(1); });
  run(0);
  other.join();
  return errors;
}

TEST(ShmCommunicator, RankThatLeavesEarlyIsNamed) {
  const std::vector<std::string> errors =
      Errors({Transport::kShm, Transport::kShm}, [](Communicator& gang) {
        if (gang.rank() == 0) gang.Barrier();
      });
  EXPECT_THAT(errors[0], HasSubstr("peer lost: rank 0 of 2: a barrier (collective 1) failed"));
  EXPECT_THAT(errors[0], HasSubstr("rank 1"));
  EXPECT_EQ(errors[1], "");
}

TEST(ShmCommunicator, DifferentCollectivesAreABugThatIsNamed) {
  for (const std::string& error :
       Errors({Transport::kShm, Transport::kShm}, [](Communicator& gang) {
         gang.SumOverRanks(std::vector<int64_t>(gang.rank() == 0 ? 3 : 4));
       })) {
    EXPECT_THAT(error, HasSubstr("internal error"));
    EXPECT_THAT(error, HasSubstr("called different collectives"));
  }
}

TEST(Transport, HasThreeNames) {
  EXPECT_EQ(TransportFromName("auto"), Transport::kAuto);
  EXPECT_EQ(TransportFromName("gloo"), Transport::kGloo);
  EXPECT_EQ(TransportFromName("shm"), Transport::kShm);
  EXPECT_THROW(TransportFromName("tcp"), TrainError);
}

}  // namespace
}  // namespace mead::train
