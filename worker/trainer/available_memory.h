// What this process may still take of the machine's memory, also where other ranks of
// its gang take from the same.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace mead::trainer {

// Something that memory is taken from.
struct MemorySource {
  // The same in all processes that take from it and in no others; without blanks.
  std::string id;
  int64_t left_bytes = 0;
};

// The machine, with what its kernel calls available, and the cgroup (version 2), with
// what is left of its limit, counting files that the kernel holds for it as left: those
// that can be read.
std::vector<MemorySource> MemorySources(const std::string& cgroup = "/sys/fs/cgroup");

// The ids of sources as one line, for other ranks to read.
std::string MemoryLine(const std::vector<MemorySource>& sources);

// An equal share, in bytes, of what this rank's sources have left: each is shared by the
// ranks that take from it. lines: of all ranks, this one's among them. 0 without sources.
int64_t MemoryShareBytes(const std::vector<MemorySource>& mine,
                         const std::vector<std::string>& lines);

}  // namespace mead::trainer
