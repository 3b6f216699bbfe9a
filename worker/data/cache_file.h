// The file of the node's cache that holds the decoded pictures of one split at one size.
//
// Format: a header of one page, an index of one entry per picture, then a place for each picture,
//         as large as it can be at most and at a place that follows from the manifest; sparse, so
//         that only what is written takes room. Numbers are of this machine's byte order.
// Shared: processes map the header and the index for writing, and change them by atomics; pixels
//         are written by pwrite and read through the mapping. The header and the index have their
//         blocks from the start, so that a full disk is an error of a call, never a SIGBUS.
// Thread: any, once open.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/files.h"

namespace mead::data {

// Of a picture in the file. Whoever sets it to kFilling may die; what it promises is waited for a
// little and then done by somebody else. Only kReady is relied upon.
enum class FillState : uint32_t { kEmpty = 0, kFilling = 1, kReady = 2 };

struct IndexEntry {
  std::atomic<FillState> state;
  std::atomic<uint32_t> width;  // pixels; this and what follows once kReady
  std::atomic<uint32_t> height;
  std::atomic<uint32_t> unused;
  std::atomic<uint64_t> checksum;  // PixelChecksum of the pixels, seeded with the sides
};
static_assert(sizeof(IndexEntry) == 24 && std::atomic<uint64_t>::is_always_lock_free);

class CacheFile {
 public:
  // What the file must be for.
  struct Layout {
    std::string key;                  // all that the pixels depend on, in words; at most 2048 bytes
    std::vector<uint64_t> max_bytes;  // of each picture
  };

  // Makes the file, which must not exist, with no pictures in it.
  // Errors: RESOURCE_EXHAUSTED (disk full) and others of the system.
  [[nodiscard]] static absl::Status Create(const std::string& path, const Layout& layout);

  // Errors: NOT_FOUND; FAILED_PRECONDITION saying why the file is not one to use: damaged, of
  // another version, or of other pictures; others of the system.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<CacheFile>> Open(const std::string& path,
                                                                       const Layout& layout);

  // The bytes of disk that a file has set aside, read from its header; 0 for what is no such file.
  static uint64_t ReservedBytes(const std::string& path);

  ~CacheFile();
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  IndexEntry& entry(size_t picture) { return index_[picture]; }
  size_t num_pictures() const { return places_.size() - 1; }
  // Of the place.
  uint64_t max_bytes(size_t picture) const { return places_[picture + 1] - places_[picture]; }
  const uint8_t* pixels(size_t picture) const { return map_ + places_[picture]; }
  // Errors: RESOURCE_EXHAUSTED (disk full) and others of the system.
  [[nodiscard]] absl::Status Write(size_t picture, const uint8_t* bytes, size_t size);

  // Disk that pictures take, and how much they may take until more is set aside.
  std::atomic<uint64_t>& used_bytes();
  std::atomic<uint64_t>& reserved_bytes();
  // Counts used_bytes anew, and takes back claims of processes that are gone. Returns how many
  // pictures are ready. Nobody else may have the file open.
  size_t Recount();

  int fd() const { return fd_.get(); }
  const std::string& path() const { return path_; }

 private:
  CacheFile() = default;

  std::string path_;
  ScopedFd fd_;
  std::vector<uint64_t> places_;  // [pictures + 1], from the file's start
  uint8_t* map_ = nullptr;        // all of the file
  IndexEntry* index_ = nullptr;   // inside it
};

// Disk that a picture takes: whole pages.
uint64_t PageBytes(uint64_t bytes);

}  // namespace mead::data
