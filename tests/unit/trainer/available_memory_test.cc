#include "worker/trainer/available_memory.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "tests/support/temp_dir.h"

namespace mead::trainer {
namespace {

using Sources = std::vector<MemorySource>;

TEST(AvailableMemory, IsKnownHereAndTheSameForAllProcessesOfThisMachine) {
  const Sources sources = MemorySources();
  ASSERT_FALSE(sources.empty());
  EXPECT_TRUE(sources[0].id.starts_with("machine/"));
  EXPECT_GT(sources[0].left_bytes, 0);
  EXPECT_EQ(MemoryLine(sources), MemoryLine(MemorySources()));
}

// A warm cache of decoded pictures must not look like memory that is taken.
TEST(AvailableMemory, FilesThatTheKernelHoldsForACgroupCountAsLeft) {
  const testing::TempDir dir;
  const auto put = [&](const char* name, const char* text) {
    std::ofstream(dir.Join(name)) << text;
  };
  put("memory.max", "1000\n");
  put("memory.current", "900\n");
  put("memory.stat", "anon 300\nfile 610\ninactive_file 400\nactive_file 200\nslab 7\n");
  EXPECT_EQ(MemorySources(dir.path().string()).back().left_bytes, 700);
  put("memory.stat", "inactive_file 4000\n");
  EXPECT_EQ(MemorySources(dir.path().string()).back().left_bytes, 1000);
  std::filesystem::remove(dir.path() / "memory.stat");
  EXPECT_EQ(MemorySources(dir.path().string()).back().left_bytes, 100);
}

TEST(AvailableMemory, ARankAloneHasAllThatIsLeft) {
  const Sources mine = {{"machine/a", 1000}, {"cgroup/a/1", 800}};
  EXPECT_EQ(MemoryShareBytes(mine, {MemoryLine(mine)}), 800);
}

TEST(AvailableMemory, RanksOfOneMachineShareIt) {
  const Sources mine = {{"machine/a", 1000}};
  const Sources other = {{"machine/b", 5000}};
  const std::vector<std::string> lines = {MemoryLine(mine), MemoryLine(other), MemoryLine(mine),
                                          MemoryLine(mine), MemoryLine(other)};
  EXPECT_EQ(MemoryShareBytes(mine, lines), 333);
  EXPECT_EQ(MemoryShareBytes(other, lines), 2500);
}

// Each container has a limit of its own; the machine they share.
TEST(AvailableMemory, ContainersOfOneMachineShareTheMachineAlone) {
  Sources mine = {{"machine/a", 1000}, {"cgroup/a/1", 400}};
  const Sources other = {{"machine/a", 1000}, {"cgroup/a/12", 700}};
  EXPECT_EQ(MemoryShareBytes(mine, {MemoryLine(other), MemoryLine(mine)}), 400);
  EXPECT_EQ(MemoryShareBytes(other, {MemoryLine(other), MemoryLine(mine)}), 500);
  EXPECT_EQ(MemoryShareBytes(mine, {MemoryLine(mine), MemoryLine(mine)}), 200);
}

TEST(AvailableMemory, WithoutAnySourceIsUnknown) {
  EXPECT_EQ(MemoryShareBytes({}, {MemoryLine({}), MemoryLine({})}), 0);
}

}  // namespace
}  // namespace mead::trainer
