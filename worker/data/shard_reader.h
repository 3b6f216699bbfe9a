// The pictures' bytes, read from shard files by the manifest's offsets.
//
// Thread: Read may be called from any thread; the files stay open while the reader lives.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/dataset/manifest.h"
#include "common/files.h"

namespace mead::data {

class ShardReader {
 public:
  // Opens the shards that hold pictures of `split`. paths: one per shard of the manifest, which
  // outlives the reader. Errors: NOT_FOUND, DATA_LOSS (another size than the manifest says), each
  // naming the file.
  [[nodiscard]] static absl::StatusOr<ShardReader> Open(const dataset::Manifest& manifest,
                                                        const std::vector<std::string>& paths,
                                                        dataset::Split split);

  // Reads a picture's file into `bytes`, whose memory is used again.
  // Errors: DATA_LOSS, naming the picture and its shard.
  [[nodiscard]] absl::Status Read(const dataset::Sample& sample, std::vector<uint8_t>& bytes) const;

  // "picture 'KEY' of shard N (PATH)", for messages.
  std::string Describe(const dataset::Sample& sample) const;

 private:
  ShardReader() = default;

  std::vector<std::string> paths_;
  std::vector<ScopedFd> files_;
};

}  // namespace mead::data
