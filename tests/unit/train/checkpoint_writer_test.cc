#include "worker/train/state/checkpoint_writer.h"

#include <gtest/gtest.h>

#include <latch>
#include <stdexcept>
#include <string>

namespace mead::train {
namespace {

using DataRead = std::function<void()>;

TEST(CheckpointWriter, LetsTheStateGoBeforeTheFileIsThere) {
  CheckpointWriter writer;
  std::latch may_end(1);
  bool ended = false;
  writer.Start([&](const DataRead& data_read) {
    data_read();
    may_end.wait();
    ended = true;
  });
  writer.AwaitData();
  EXPECT_TRUE(writer.busy());
  may_end.count_down();
  writer.Await();
  EXPECT_TRUE(ended);
  EXPECT_FALSE(writer.busy());
}

TEST(CheckpointWriter, TheNextOneWaitsForTheOneBefore) {
  CheckpointWriter writer;
  std::string order;
  writer.Start([&](const DataRead&) { order += "a"; });
  writer.Start([&](const DataRead&) { order += "b"; });
  writer.Await();
  EXPECT_EQ(order, "ab");
}

TEST(CheckpointWriter, AFailureComesOutOnceAndLeavesItFitForAnother) {
  CheckpointWriter writer;
  writer.Start([](const DataRead&) { throw std::runtime_error("full"); });
  EXPECT_THROW(writer.AwaitData(), std::runtime_error);
  writer.Await();
  writer.Start([](const DataRead& data_read) {
    data_read();
    throw std::runtime_error("full");
  });
  EXPECT_THROW(writer.Await(), std::runtime_error);
  bool done = false;
  writer.Start([&](const DataRead&) { done = true; });
  writer.Await();
  EXPECT_TRUE(done);
}

}  // namespace
}  // namespace mead::train
