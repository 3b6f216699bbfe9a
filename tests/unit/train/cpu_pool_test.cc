#include "worker/train/memory/cpu_pool.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <cstdlib>
#include <thread>

#include "worker/train/tensors.h"

namespace mead::train {
namespace {

constexpr int64_t kMiB = int64_t{1} << 20;

at::Tensor Bytes(int64_t count) { return at::empty({count}, at::dtype(at::kByte)); }

class CpuPool : public ::testing::Test {
 protected:
  void SetUp() override {
    InstallCpuPool(0);
    // What earlier tests left free goes back, but for a smallest block.
    ResetCpuPoolPeak();
    Bytes(64 * 1024);
    // With much in use nothing is given back.
    kept_ = Bytes(64 * kMiB);
    ResetCpuPoolPeak();
    start_ = CpuPoolUsage().in_use_bytes;
  }
  void TearDown() override { InstallCpuPool(0); }

  int64_t InUse() const { return CpuPoolUsage().in_use_bytes - start_; }
  int64_t Peak() const { return CpuPoolUsage().peak_bytes - start_; }

  at::Tensor kept_;

 private:
  int64_t start_ = 0;
};

TEST_F(CpuPool, AFreedBlockServesTheNextTensorOfItsSize) {
  for (const int64_t size : {64 * int64_t{1024}, 3 * kMiB, 16 * kMiB}) {
    at::Tensor tensor = Bytes(size);
    const void* block = tensor.data_ptr();
    tensor.reset();
    const int64_t cached = CpuPoolUsage().cached_bytes;
    EXPECT_GE(cached, size);
    tensor = Bytes(size);
    EXPECT_EQ(tensor.data_ptr(), block);
    EXPECT_EQ(CpuPoolUsage().cached_bytes, cached - size);
  }
}

TEST_F(CpuPool, ABlockServesUpToAQuarterLessThanItsSize) {
  at::Tensor tensor = Bytes(10 * kMiB);
  const void* block = tensor.data_ptr();
  tensor.reset();
  const at::Tensor half = Bytes(5 * kMiB);
  EXPECT_NE(half.data_ptr(), block);
  const at::Tensor most = Bytes(8 * kMiB);
  EXPECT_EQ(most.data_ptr(), block);
}

TEST_F(CpuPool, FiguresFollowLargeTensorsAlone) {
  at::Tensor small = Bytes(63 * 1024);
  EXPECT_EQ(InUse(), 0);
  at::Tensor first = Bytes(4 * kMiB);
  at::Tensor second = Bytes(100 * 1024);  // 25 pages
  EXPECT_EQ(InUse(), 4 * kMiB + 100 * 1024);
  first.reset();
  EXPECT_EQ(InUse(), 100 * 1024);
  EXPECT_EQ(Peak(), 4 * kMiB + 100 * 1024);
  ResetCpuPoolPeak();
  EXPECT_EQ(Peak(), 100 * 1024);
  second.reset();
  EXPECT_EQ(InUse(), 0);
  EXPECT_EQ(Peak(), 100 * 1024);
}

TEST_F(CpuPool, BeyondTheLimitATensorIsOutOfMemory) {
  const auto in_use = CpuPoolUsage().in_use_bytes;
  InstallCpuPool(in_use + 8 * kMiB);
  at::Tensor tensor = Bytes(6 * kMiB);
  try {
    Translated("in a test", [] { return Bytes(3 * kMiB); });
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
    EXPECT_THAT(error.what(), ::testing::HasSubstr("in a test"));
    EXPECT_THAT(error.what(), ::testing::HasSubstr(std::to_string(3 * kMiB) + " bytes"));
  }
  EXPECT_EQ(CpuPoolUsage().in_use_bytes, in_use + 6 * kMiB);
  EXPECT_EQ(Bytes(2 * kMiB).numel(), 2 * kMiB);  // what is left
  tensor.reset();
  EXPECT_EQ(Bytes(8 * kMiB).numel(), 8 * kMiB);
}

TEST_F(CpuPool, WhatNoMachineHasIsOutOfMemoryToo) {
  try {
    Translated("in a test", [] { return Bytes(int64_t{1} << 60); });
    FAIL() << "no error";
  } catch (const TrainError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kOutOfMemory);
  }
  EXPECT_EQ(InUse(), 0);
}

TEST_F(CpuPool, ATensorMayBeFreedOnAnotherThread) {
  at::Tensor tensor = Bytes(4 * kMiB);
  const void* block = tensor.data_ptr();
  std::jthread([freed = std::move(tensor)]() mutable { freed.reset(); }).join();
  EXPECT_EQ(InUse(), 0);
  EXPECT_EQ(Bytes(4 * kMiB).data_ptr(), block);
}

TEST_F(CpuPool, ThreadsShareItWithoutMixingTheirBlocks) {
  std::vector<std::jthread> threads;
  for (uint8_t id = 1; id <= 4; ++id) {
    threads.emplace_back([id] {
      for (int64_t i = 0; i < 50; ++i) {
        const at::Tensor tensor = Bytes((64 + 16 * (i % 7)) * 1024).fill_(id);
        ASSERT_TRUE((tensor == id).all().item<bool>());
      }
    });
  }
  threads.clear();
  EXPECT_EQ(InUse(), 0);
}

TEST_F(CpuPool, FreeBlocksBeyondThePeakAreGivenBack) {
  { const at::Tensor kept = std::move(kept_), large = Bytes(32 * kMiB), medium = Bytes(16 * kMiB); }
  EXPECT_EQ(InUse(), -64 * kMiB);
  EXPECT_GE(CpuPoolUsage().cached_bytes, 32 * kMiB);
  ResetCpuPoolPeak();
  { const at::Tensor small = Bytes(2 * kMiB); }
  const CpuPoolUse use = CpuPoolUsage();
  EXPECT_LE(use.cached_bytes, use.peak_bytes);
}

TEST_F(CpuPool, TrimmingGivesBackAllThatIsFreeAndNothingElse) {
  at::Tensor used = Bytes(4 * kMiB).fill_(7);
  { const at::Tensor gone = Bytes(8 * kMiB); }
  EXPECT_GE(CpuPoolUsage().cached_bytes, 8 * kMiB);
  TrimCpuPool();
  EXPECT_EQ(CpuPoolUsage().cached_bytes, 0);
  EXPECT_TRUE(used.eq(7).all().item<bool>());
}

TEST_F(CpuPool, BlocksAreAlignedForTheWidestVectors) {
  for (const int64_t size : {int64_t{1}, int64_t{1000}, 65 * int64_t{1024}, kMiB + 1, 5 * kMiB}) {
    const at::Tensor tensor = Bytes(size);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data_ptr()) % 64, 0) << size;
  }
}

TEST_F(CpuPool, ContentsAreTheOwnersUntilTheEnd) {
  const at::Tensor ones = at::ones({300, 1000});
  for (int i = 0; i < 10; ++i) at::zeros({300, 1000});
  EXPECT_EQ(ones.sum().item<float>(), 300'000);
  EXPECT_EQ(at::cat({ones, ones}).sum().item<float>(), 600'000);
}

// In processes of their own: what is allocated before the pool and what outlives main().
TEST(CpuPoolDeathTest, TensorsFromBeforeItAndTensorsThatOutliveMainAreFreed) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        static at::Tensor before = at::ones({300, 1000});
        InstallCpuPool(0);
        static at::Tensor after = at::ones({300, 1000});
        at::Tensor moved = std::move(before);
        moved.reset();
        static at::Tensor outlives = at::ones({100, 1000});
        std::exit(after.sum().item<float>() == 300'000 ? 0 : 1);
      },
      ::testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace mead::train
