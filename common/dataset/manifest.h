// The manifest of a data set: every picture, its class, its split, and where its
// bytes lie in which shard. It is an artefact itself: its SHA-256 names the data set.
//
// Format: JSON, canonical (sorted keys, no white space), so equal data sets have equal digests:
//   {"format": "mead-dataset", "version": 1, "name": ..., "classes": [...], "seed": ...,
//    "split_method": "stratified" | "given", "val_fraction": ...,
//    "shards": [{"digest": "sha256:...", "bytes": ..., "split": "train" | "val", "num_samples":
//    ...}], "samples": [{"key": ..., "class": 0, "split": ..., "shard": 0, "offset": ..., "size":
//    ...,
//                 "digest": "sha256:...", "width": ..., "height": ..., "group": 1}],
//    "quarantined": [{"path": ..., "reason": ...}],
//    "leakage_guard": "on" | "off", "group_by": ...}
//   "group", "leakage_guard" and "group_by" are left out where there is nothing to say, and older
//   programs pass over them.
// Thread: a value; const members may be called from any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mead::dataset {

// What a picture is for. A given test folder is the evaluation split as well.
enum class Split : uint8_t { kTrain = 0, kVal = 1 };

// "train" or "val".
std::string_view SplitName(Split split);

// One WebDataset tar file. It holds samples of one split only, so that a worker that
// only evaluates fetches nothing else.
struct Shard {
  std::string digest;  // "sha256:<64 hex>"
  uint64_t bytes = 0;
  Split split = Split::kTrain;
  uint64_t num_samples = 0;
  bool operator==(const Shard&) const = default;
};

struct Sample {
  std::string key;        // path relative to the data set's root, '/' separated; unique
  uint32_t class_id = 0;  // index into Manifest::classes
  Split split = Split::kTrain;
  uint32_t shard = 0;  // index into Manifest::shards
  // The picture's bytes (its file) are [offset, offset + size) of the shard.
  uint64_t offset = 0;
  uint64_t size = 0;
  std::string digest;  // of the picture's bytes
  uint32_t width = 0;  // pixels
  uint32_t height = 0;
  uint32_t group = 0;  // pictures that show the same have the same number; 0: none does
  bool operator==(const Sample&) const = default;
};

// Whether near-duplicates were looked for; unknown in manifests from before that was done.
enum class LeakageGuard : uint8_t { kUnknown = 0, kOff = 1, kOn = 2 };

// A file that was found but is not used, and why.
struct QuarantinedFile {
  std::string path;
  std::string reason;
  bool operator==(const QuarantinedFile&) const = default;
};

struct Manifest {
  std::string name;
  std::vector<std::string> classes;  // label order
  uint64_t seed = 0;
  std::string split_method;  // "stratified" (made here, seeded) or "given" (train/test folders)
  double val_fraction = 0;   // asked for; 0 when the split was given
  std::vector<Shard> shards;
  std::vector<Sample> samples;
  std::vector<QuarantinedFile> quarantined;
  LeakageGuard leakage_guard = LeakageGuard::kUnknown;
  std::string group_by;  // the pattern by which paths were grouped for the split; empty: none

  // Indices into samples of one split, in manifest order. EpochPlan's sample indices
  // index into this list.
  std::vector<uint32_t> SamplesOf(Split split) const;

  uint64_t Count(Split split) const;
  // Per class, in label order.
  std::vector<uint64_t> ClassCounts(Split split) const;
  // Of all shards.
  uint64_t TotalBytes() const;

  std::string ToJson() const;

  // Errors: INVALID_ARGUMENT naming the first thing that is wrong. What is returned is
  // sound: ids and shard indices in range, every picture inside its shard and in its split.
  [[nodiscard]] static absl::StatusOr<Manifest> FromJson(std::string_view json);

  bool operator==(const Manifest&) const = default;
};

// The file name of a shard in a build folder: "train-00003.tar", index counted over all shards.
std::string ShardFileName(const Manifest& manifest, size_t index);

// kManifestFileName lies beside the shards in a build folder.
inline constexpr char kManifestFileName[] = "manifest.json";

}  // namespace mead::dataset
