// Makes a data set from a user's pictures: scan, decode-check, find near-duplicates, split, pack.
//
// Input:  a folder per class; train/ and test/ (or val/, valid/, validation/) folders of them; a
// CSV
//         file of path,label; WebDataset tars; or a .zip, .tar, .tar.gz of any of these (input.h).
// Output: out_dir/manifest.json and out_dir/<split>-<index>.tar (ShardFileName).
//         The same pictures, name and seed give the same bytes for any thread count, and on any
//         machine of one architecture: whether two pictures show the same is decided in floating
//         point.
// Thread: blocks; call it from any thread. The callback runs on the calling thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "common/dataset/manifest.h"

namespace mead::dataset {

// phase: "unpack", "scan", "check", "compare" or "pack"; total is 0 while it is not known.
using Progress = std::function<void(std::string_view phase, uint64_t done, uint64_t total)>;

struct BuildOptions {
  std::string name;
  std::string path;
  double val_fraction = 0.2;  // of each class; (0, 1); unused when the split is given
  uint64_t seed = 1;
  // Pictures that show the same are found and kept on one side of a split that is made here. In a
  // given split they stay where they are, and the manifest tells.
  bool leakage_guard = true;
  // Leaves out training pictures that show the same as one of a given evaluation split.
  bool drop_straddling = false;
  // Pictures whose paths have the same first capture of this pattern are kept on one side; empty:
  // paths say nothing.
  std::string group_by;
  std::string out_dir;  // made if missing; unpacked archives lie there for a while
  Progress progress;    // may be empty
  int threads = 0;      // decode checks; 0: one per core, at most 8
  uint64_t shard_bytes = 64u << 20;
};

// Errors: NOT_FOUND (no such path; names near ones), INVALID_ARGUMENT (no classes, one class, a
// class folder without pictures, two classes with one name, a bad archive, a bad option or
// options that contradict each other or the folders),
// RESOURCE_EXHAUSTED (disk full), PERMISSION_DENIED. Pictures that cannot be used are never an
// error: they are listed in Manifest::quarantined.
[[nodiscard]] absl::StatusOr<Manifest> BuildDataset(const BuildOptions& options);

// Reads every shard of a build folder again and compares it with its digest.
// Errors: DATA_LOSS naming the damaged shards, NOT_FOUND.
[[nodiscard]] absl::Status VerifyBuild(const Manifest& manifest, const std::string& dir);

}  // namespace mead::dataset
