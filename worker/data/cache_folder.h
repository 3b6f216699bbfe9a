// The folder of a node's cache files: which there are, and how much disk they may take together.
//
// Files:  DIR/NAME.pixels; DIR/lock. Each process that uses a file holds a shared flock on it, and
//         whoever opens, makes or removes one holds DIR/lock meanwhile. Locks end with their
//         process, however it ends.
// Bound:  a file sets disk aside in pieces. Where the limit leaves none, whole files that nobody
//         uses go, the least recently opened first; one that is in use stays.
// Thread: any.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "worker/data/cache_file.h"

namespace mead::data {

class CacheFolder {
 public:
  struct Options {
    std::string dir;  // made if missing
    uint64_t limit_bytes = 0;
    uint64_t keep_free_bytes = 0;  // of the file system
    std::function<void(const std::string&)> say;
  };

  explicit CacheFolder(Options options) : options_(std::move(options)) {}

  // The file of this name, made if it is missing, and made anew, saying so, if it is none to use.
  // Errors: RESOURCE_EXHAUSTED (disk full), UNAVAILABLE (the folder stays locked), others of the
  // system.
  [[nodiscard]] absl::StatusOr<std::unique_ptr<CacheFile>> Open(const std::string& name,
                                                                const CacheFile::Layout& layout);

  // Sets disk aside so that `bytes` more fit into the file, and some more for what follows.
  // Errors: RESOURCE_EXHAUSTED saying what is full, UNAVAILABLE.
  [[nodiscard]] absl::Status Reserve(CacheFile& file, uint64_t bytes);

 private:
  [[nodiscard]] absl::StatusOr<ScopedFd> Lock() const;
  uint64_t ReservedByAll() const;
  // Removes the unused file that was opened longest ago. Returns whether there was one.
  bool RemoveOldest() const;
  void Say(const std::string& line) const {
    if (options_.say) options_.say(line);
  }

  const Options options_;
};

}  // namespace mead::data
