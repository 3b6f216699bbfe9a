// Artefacts on this machine's disk: fetched once, resumed after a break, verified
// against their digest, and kept while they are used and there is room.
//
// Files:  DIR/blobs/<64 hex>; what is under way in DIR/partial/<64 hex>.
// Bound:  capacity_bytes; the least recently used go first. Artefacts in use are
//         never removed, so a trial larger than the bound still runs, and the
//         cache shrinks to the bound when it ends.
// Trust:  a file found on the disk at the start is hashed before its first use;
//         a damaged one is fetched again.
// Thread: thread-safe. No lock is held while bytes are read, hashed or sent.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "worker/agent/artifact_source.h"

namespace mead::agent {

struct ArtifactCacheOptions {
  std::filesystem::path dir;
  uint64_t capacity_bytes = uint64_t{20} << 30;
  // Of the jitter between tries.
  uint64_t seed = 0;
  absl::Duration first_backoff = absl::Milliseconds(200);
  absl::Duration max_backoff = absl::Seconds(5);
};

class ArtifactCache {
 public:
  // Keeps an artefact's file in place while it lives. The cache outlives it.
  class Pin {
   public:
    Pin() = default;
    Pin(Pin&& other) noexcept;
    Pin& operator=(Pin&& other) noexcept;
    ~Pin();
    const std::filesystem::path& path() const { return path_; }

   private:
    friend class ArtifactCache;
    Pin(ArtifactCache* cache, std::string hex, std::filesystem::path path);
    ArtifactCache* cache_ = nullptr;
    std::string hex_;
    std::filesystem::path path_;
  };

  // source outlives the cache.
  static absl::StatusOr<std::unique_ptr<ArtifactCache>> Open(ArtifactCacheOptions options,
                                                             ArtifactSource& source);

  // The artefact as a local file, from the disk or the source. Tries on, with
  // backoff, through errors that pass; two calls for one digest fetch it once.
  // Errors: INVALID_ARGUMENT (not a digest), NOT_FOUND (the source has no such
  //   artefact), DATA_LOSS (what comes has another digest, repeatedly),
  //   RESOURCE_EXHAUSTED (this machine's disk is full), CANCELLED (stopped).
  absl::StatusOr<Pin> Fetch(const std::string& digest, std::stop_token stop);

  // Of complete artefacts.
  uint64_t bytes() const;

 private:
  struct Entry {
    uint64_t bytes = 0;
    uint64_t last_used = 0;  // by use_counter_
    int pins = 0;
    bool busy = false;      // being fetched or verified by one caller
    bool complete = false;  // the file is in blobs/
    bool verified = false;  // hashed by this process
  };

  ArtifactCache(ArtifactCacheOptions options, ArtifactSource& source);
  absl::Status Scan();
  // Makes the entry's file complete and verified.
  absl::Status Provide(const std::string& hex, bool complete, std::stop_token stop);
  absl::Status Download(const std::string& hex, std::stop_token stop);
  void Unpin(const std::string& hex);
  void EvictLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const ArtifactCacheOptions options_;
  ArtifactSource& source_;
  const std::filesystem::path blobs_;
  const std::filesystem::path partial_;
  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  std::map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  uint64_t use_counter_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

// Waits for the duration or the stop; false when stopped.
bool WaitUnlessStopped(absl::Duration duration, std::stop_token stop);

}  // namespace mead::agent
