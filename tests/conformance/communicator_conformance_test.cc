// What every Communicator must do, whatever carries it. Ranks are threads here;
// communicator_kill_test.cc has real processes.
#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <functional>
#include <latch>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "worker/train/comm/communicator.h"
#include "worker/train/comm/nccl_communicator.h"
#include "worker/train/comm/rendezvous.h"
#include "worker/train/errors.h"

namespace mead::train {
namespace {

using ::testing::HasSubstr;

// Long enough for a busy machine; only a test that fails waits for it.
constexpr std::chrono::seconds kTimeout{120};

struct Kind {
  std::string name;  // as Communicator::transport()
  int world_size = 1;
};

std::ostream& operator<<(std::ostream& out, const Kind& kind) {
  return out << kind.name << ", " << kind.world_size << " ranks";
}

std::shared_ptr<Communicator> Make(const Kind& kind, int rank,
                                   const std::shared_ptr<RendezvousStore>& store) {
  CommunicatorOptions options{.rank = rank, .world_size = kind.world_size};
  options.timeout = kTimeout;
  if (kind.name == "nccl") {
    options.device = "cuda:" + std::to_string(rank);
    return MakeNcclCommunicator(options, store);
  }
  if (kind.name != "alone") options.transport = TransportFromName(kind.name);
  return MakeCommunicator(options, store);
}

class CommunicatorConformance : public ::testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);  // as the trainer does
    if (kind().name == "nccl" && at::globalContext().hasCUDA() &&
        at::detail::getCUDAHooks().deviceCount() >= kind().world_size) {
      return;
    }
    if (kind().name == "nccl") GTEST_SKIP() << "needs " << kind().world_size << " GPUs";
  }

  const Kind& kind() const { return GetParam(); }
  int world_size() const { return kind().world_size; }

  // Runs the body on every rank of a new gang, each in its own thread.
  void OnEveryRank(const std::function<void(Communicator&)>& body) {
    const auto server = RendezvousStore::Serve("127.0.0.1", kTimeout);
    std::vector<std::jthread> ranks;
    for (int rank = 0; rank < world_size(); ++rank) {
      ranks.emplace_back([&, rank] {
        try {
          const auto communicator =
              Make(kind(), rank,
                   rank == 0 ? server : RendezvousStore::Connect(server->address(), kTimeout));
          EXPECT_EQ(communicator->transport(), kind().name);
          EXPECT_EQ(communicator->rank(), rank);
          EXPECT_EQ(communicator->world_size(), world_size());
          body(*communicator);
        } catch (const std::exception& error) {
          ADD_FAILURE() << "rank " << rank << ": " << error.what();
        }
      });
    }
  }
};

// [elements], small integers that every type can hold, and so can their sums.
at::Tensor Whole(const Communicator& communicator, int rank, int64_t elements,
                 at::ScalarType type) {
  return ((at::arange(elements) + 3 * rank) % 17 - 8).to(at::Device(communicator.device()), type);
}

at::Tensor SumOfWhole(const Communicator& communicator, int64_t elements, at::ScalarType type) {
  at::Tensor sum = at::zeros({elements}, at::dtype(type).device(communicator.device()));
  for (int rank = 0; rank < communicator.world_size(); ++rank) {
    sum += Whole(communicator, rank, elements, type);
  }
  return sum;
}

// [elements], float32, other values on every rank.
at::Tensor Noise(const Communicator& communicator, int rank, int64_t elements) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(static_cast<uint64_t>(100 + rank));
  return at::randn({elements}, generator).to(at::Device(communicator.device()));
}

TEST_P(CommunicatorConformance, SumsEveryTypeAtEverySize) {
  OnEveryRank([](Communicator& gang) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kLong}) {
      for (const int64_t elements : {1, 2, 31, 33, 64, 1000, 4097, 100003}) {
        at::Tensor tensor = Whole(gang, gang.rank(), elements, type);
        gang.AllReduceSum(tensor)->Wait();
        EXPECT_TRUE(tensor.equal(SumOfWhole(gang, elements, type)))
            << elements << " elements of " << at::toString(type);
      }
    }
  });
}

TEST_P(CommunicatorConformance, TakesTensorsWithoutElements) {
  OnEveryRank([](Communicator& gang) {
    at::Tensor none = Whole(gang, 0, 0, at::kFloat);
    gang.AllReduceSum(none)->Wait();
    gang.Broadcast(none, 0);
    EXPECT_EQ(gang.AllGather(none).sizes(), (std::vector<int64_t>{gang.world_size(), 0}));
    at::Tensor buffer = gang.AllocateBuffer(0, at::kFloat);
    gang.AllReduceSum(buffer)->Wait();
    gang.Barrier();
  });
}

TEST_P(CommunicatorConformance, SumHasTheSameBitsOnEveryRank) {
  OnEveryRank([](Communicator& gang) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble}) {
      at::Tensor tensor = Noise(gang, gang.rank(), 10007).to(type);
      gang.AllReduceSum(tensor)->Wait();
      const at::Tensor all = gang.AllGather(tensor);  // [world_size, 10007]
      for (int rank = 0; rank < gang.world_size(); ++rank) {
        EXPECT_TRUE(all[rank].equal(tensor)) << at::toString(type) << " of rank " << rank;
      }
    }
  });
}

// Gradients may travel so: no more is lost than a rounding per addition.
TEST_P(CommunicatorConformance, SumOfBfloat16IsTheExactOneUpToARoundingPerAddition) {
  OnEveryRank([](Communicator& gang) {
    constexpr double kRounding = 1.0 / 256;  // of a number with 8 significant bits
    at::Tensor tensor = gang.AllocateBuffer(10007, at::kBFloat16);
    tensor.copy_(Noise(gang, gang.rank(), 10007));
    const at::Tensor parts = gang.AllGather(tensor).to(at::kDouble);  // [world_size, 10007]
    gang.AllReduceSum(tensor)->Wait();
    const at::Tensor error = (tensor.to(at::kDouble) - parts.sum(0)).abs();
    const int additions = gang.world_size() - 1;
    EXPECT_TRUE(error.le(parts.abs().sum(0) * (additions * kRounding)).all().item<bool>());
  });
}

TEST_P(CommunicatorConformance, SumsTensorsOfAnyDenseLayout) {
  OnEveryRank([](Communicator& gang) {
    at::Tensor tensor = Whole(gang, gang.rank(), 2 * 3 * 5 * 7, at::kFloat)
                            .view({2, 3, 5, 7})
                            .contiguous(at::MemoryFormat::ChannelsLast);
    gang.AllReduceSum(tensor)->Wait();
    EXPECT_TRUE(tensor.equal(SumOfWhole(gang, 2 * 3 * 5 * 7, at::kFloat).view({2, 3, 5, 7})));
  });
}

TEST_P(CommunicatorConformance, ManySumsMayBeUnderWayAndBeWaitedForInAnyOrder) {
  OnEveryRank([](Communicator& gang) {
    constexpr int64_t kSums = 600;
    std::vector<at::Tensor> tensors;
    std::vector<std::unique_ptr<Pending>> pending;
    for (int64_t i = 0; i < kSums; ++i) {
      tensors.push_back(Whole(gang, gang.rank(), 50 + i, at::kFloat));
      pending.push_back(gang.AllReduceSum(tensors.back()));
    }
    for (int64_t i = kSums; i-- > 0;) {
      const size_t index = static_cast<size_t>(i);
      pending[index]->Wait();
      EXPECT_TRUE(tensors[index].equal(SumOfWhole(gang, 50 + i, at::kFloat))) << "sum " << i;
    }
  });
}

TEST_P(CommunicatorConformance, BuffersAreZeroAndAreSummedInPlace) {
  OnEveryRank([](Communicator& gang) {
    for (int round = 0; round < 3; ++round) {  // memory of an earlier round is zero again
      at::Tensor large = gang.AllocateBuffer(300000, at::kFloat);
      at::Tensor small = gang.AllocateBuffer(77, at::kBFloat16);
      EXPECT_EQ(at::count_nonzero(large).item<int64_t>(), 0);
      EXPECT_EQ(at::count_nonzero(small).item<int64_t>(), 0);
      large.copy_(Whole(gang, gang.rank(), 300000, at::kFloat));
      small.copy_(Whole(gang, gang.rank(), 77, at::kBFloat16));
      const void* const data = large.data_ptr();
      const auto first = gang.AllReduceSum(large);
      const auto second = gang.AllReduceSum(small);
      first->Wait();
      second->Wait();
      EXPECT_TRUE(large.equal(SumOfWhole(gang, 300000, at::kFloat)));
      EXPECT_TRUE(small.equal(SumOfWhole(gang, 77, at::kBFloat16)));
      EXPECT_EQ(large.data_ptr(), data);
    }
  });
}

TEST_P(CommunicatorConformance, PartOfABufferIsSummedAlone) {
  OnEveryRank([](Communicator& gang) {
    at::Tensor buffer = gang.AllocateBuffer(1000, at::kFloat);
    buffer.fill_(1);
    at::Tensor part = buffer.narrow(0, 3, 501);  // begins amid a cache line
    gang.AllReduceSum(part)->Wait();
    EXPECT_EQ(buffer.sum().item<double>(), 499 + 501.0 * gang.world_size());
  });
}

TEST_P(CommunicatorConformance, BufferMayOutliveItsCommunicator) {
  std::vector<at::Tensor> kept(static_cast<size_t>(world_size()));
  OnEveryRank([&](Communicator& gang) {
    at::Tensor buffer = gang.AllocateBuffer(5000, at::kLong);
    buffer.fill_(gang.rank() + 1);
    gang.AllReduceSum(buffer)->Wait();
    kept[static_cast<size_t>(gang.rank())] = buffer;
  });
  const int64_t sum = world_size() * (world_size() + 1) / 2;
  for (const at::Tensor& buffer : kept) {
    if (buffer.defined()) {
      EXPECT_EQ(buffer.sum().item<int64_t>(), 5000 * sum);
    }
  }
}

TEST_P(CommunicatorConformance, BroadcastCopiesTheRootsTensor) {
  OnEveryRank([](Communicator& gang) {
    for (int root = 0; root < gang.world_size(); ++root) {
      for (const at::ScalarType type : {at::kFloat, at::kLong, at::kByte}) {
        at::Tensor tensor = Whole(gang, gang.rank(), 20001, at::kLong).abs().to(type);
        gang.Broadcast(tensor, root);
        EXPECT_TRUE(tensor.equal(Whole(gang, root, 20001, at::kLong).abs().to(type)));
      }
    }
  });
}

TEST_P(CommunicatorConformance, GatherKeepsTheOrderOfRanks) {
  OnEveryRank([](Communicator& gang) {
    for (const at::ScalarType type : {at::kFloat, at::kDouble, at::kBFloat16, at::kLong}) {
      const at::Tensor mine = Whole(gang, gang.rank(), 3 * 35, type).view({3, 5, 7});
      const at::Tensor all = gang.AllGather(mine);
      ASSERT_EQ(all.sizes(), (std::vector<int64_t>{gang.world_size(), 3, 5, 7}));
      EXPECT_TRUE(all.is_contiguous());
      for (int rank = 0; rank < gang.world_size(); ++rank) {
        EXPECT_TRUE(all[rank].equal(Whole(gang, rank, 3 * 35, type).view({3, 5, 7})));
      }
    }
  });
}

TEST_P(CommunicatorConformance, GatherTakesOneNumberOfEachRank) {
  OnEveryRank([](Communicator& gang) {
    const at::Tensor all =
        gang.AllGather(at::full({}, gang.rank(), at::dtype(at::kFloat).device(gang.device())));
    EXPECT_TRUE(all.equal(at::arange(gang.world_size()).to(all)));
  });
}

TEST_P(CommunicatorConformance, BarrierWaitsForEveryRank) {
  std::atomic<int> arrived = 0;
  OnEveryRank([&](Communicator& gang) {
    for (int round = 1; round <= 50; ++round) {
      ++arrived;
      gang.Barrier();
      EXPECT_GE(arrived, round * gang.world_size());
    }
  });
}

TEST_P(CommunicatorConformance, SumsCountsAndFigures) {
  OnEveryRank([](Communicator& gang) {
    const int64_t ranks = gang.world_size();
    EXPECT_EQ(gang.SumOverRanks(std::vector<int64_t>{int64_t{1} << 60, gang.rank()}),
              (std::vector<int64_t>{ranks << 60, ranks * (ranks - 1) / 2}));
    EXPECT_EQ(gang.SumOverRanks(std::vector<double>{0.5}),
              (std::vector<double>{0.5 * gang.world_size()}));
    EXPECT_TRUE(gang.SumOverRanks(std::vector<double>{}).empty());
  });
}

TEST_P(CommunicatorConformance, SumsGoOnWhileOtherCollectivesRun) {
  OnEveryRank([](Communicator& gang) {
    at::Tensor buffer = gang.AllocateBuffer(200001, at::kFloat);
    for (int round = 0; round < 20; ++round) {
      buffer.copy_(Whole(gang, gang.rank() + round, 200001, at::kFloat));
      const auto pending = gang.AllReduceSum(buffer);
      gang.SumOverRanks(std::vector<int64_t>{round});
      gang.Barrier();
      pending->Wait();
      at::Tensor expected = at::zeros_like(buffer);
      for (int rank = 0; rank < gang.world_size(); ++rank) {
        expected += Whole(gang, rank + round, 200001, at::kFloat);
      }
      EXPECT_TRUE(buffer.equal(expected)) << "round " << round;
    }
  });
}

TEST_P(CommunicatorConformance, WhatWasWatchedEndsAndMayBeWaitedForTwice) {
  OnEveryRank([](Communicator& gang) {
    at::Tensor tensor = gang.AllocateBuffer(1000, at::kFloat);
    std::vector<std::unique_ptr<Pending>> steps;
    for (int step = 0; step < 3; ++step) {
      tensor.fill_(gang.rank());
      gang.AllReduceSum(tensor)->Wait();
      steps.push_back(gang.Watch());
    }
    steps.back()->Wait();
    for (const auto& step : steps) step->Wait();
    EXPECT_EQ(tensor[0].item<int64_t>(), gang.world_size() * (gang.world_size() - 1) / 2);
  });
}

// Of gangs that learn of an abort: NCCL's peers find out by their own timeout or their
// agent's.
class AbortConformance : public CommunicatorConformance {};

TEST_P(AbortConformance, FailsWhatIsUnderWayOnEveryRank) {
  OnEveryRank([](Communicator& gang) {
    gang.Barrier();
    at::Tensor tensor = Whole(gang, gang.rank(), 1000, at::kFloat);
    if (gang.rank() == 0) {
      std::jthread([&] { gang.Abort(); }).join();
      return;  // the others wait for a sum in which rank 0 has no part
    }
    try {
      gang.AllReduceSum(tensor)->Wait();
      ADD_FAILURE() << "no error on rank " << gang.rank();
    } catch (const TrainError& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kPeerLost);
      EXPECT_THAT(error.what(), HasSubstr("rank " + std::to_string(gang.rank()) + " of"));
    }
  });
}

// Of gangs whose aborting rank wakes its own waiters, too: Gloo's end with their timeout.
class WakingAbortConformance : public CommunicatorConformance {};

TEST_P(WakingAbortConformance, FromAnotherThreadWakesWhoWaits) {
  std::latch failed(world_size() - 1);
  OnEveryRank([&](Communicator& gang) {
    gang.Barrier();
    if (gang.rank() == 0) return failed.wait();  // does not come, and does not leave
    std::jthread aborter;
    if (gang.rank() == 1) aborter = std::jthread([&] { gang.Abort(); });
    at::Tensor tensor = Whole(gang, gang.rank(), 1000, at::kFloat);
    EXPECT_THROW(gang.AllReduceSum(tensor)->Wait(), TrainError);
    failed.count_down();
  });
}

std::vector<Kind> Gangs(const std::vector<std::string>& names) {
  std::vector<Kind> kinds;
  for (const std::string& name : names) {
    for (const int world_size : {2, 3, 4}) kinds.push_back({name, world_size});
  }
  return kinds;
}

std::vector<Kind> AllKinds() {
  std::vector<Kind> kinds = Gangs({"gloo", "shm"});
  kinds.push_back({"alone", 1});
  for (const int world_size : {1, 2}) kinds.push_back({"nccl", world_size});
  return kinds;
}

std::string NameOf(const ::testing::TestParamInfo<Kind>& test) {
  return test.param.name + std::to_string(test.param.world_size);
}

INSTANTIATE_TEST_SUITE_P(Every, CommunicatorConformance, ::testing::ValuesIn(AllKinds()), NameOf);
INSTANTIATE_TEST_SUITE_P(Every, AbortConformance, ::testing::ValuesIn(Gangs({"gloo", "shm"})),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Every, WakingAbortConformance, ::testing::ValuesIn(Gangs({"shm"})),
                         NameOf);

}  // namespace
}  // namespace mead::train
