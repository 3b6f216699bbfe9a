// Content-addressed files: manifests, shards, weights, checkpoints.
//
// On disk: ROOT/sha256/<first 2 hex>/<64 hex> for what is whole and verified;
// ROOT/partial/<64 hex> for uploads under way, which survive a restart;
// ROOT/damaged/<64 hex> for what no longer has its digest.
//
// A whole artefact is written aside, synced, verified and renamed: its name
// never stands for other bytes. The first read of a file in this process's life,
// and the first after the file has changed on disk, verifies it again; a damaged
// one is put aside, so that the same upload repairs it.
//
// Thread: every method may be called from any thread; one Upload from one at a time.
// Errors: INVALID_ARGUMENT (not a digest), RESOURCE_EXHAUSTED (disk full), and
//   as stated.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "common/files.h"
#include "common/sha256.h"

namespace mead::store {

struct ArtifactStat {
  bool complete = false;
  uint64_t stored_bytes = 0;  // of the partial upload, if not complete
};

struct ArtifactInfo {
  std::string digest;
  uint64_t size_bytes = 0;
};

class ArtifactStore {
 public:
  class Upload;

  // `root` (DIR/artifacts) is made if missing.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<ArtifactStore>> Open(
      const std::filesystem::path& root);

  // An unknown digest is no error: nothing is stored of it.
  [[nodiscard]] absl::StatusOr<ArtifactStat> Stat(std::string_view digest);

  // Goes on at `offset`, which must be Stat's stored_bytes. Of an artefact that
  // is complete, an upload that takes no data and finishes at once.
  // Errors: OUT_OF_RANGE (another offset; ask Stat again), UNAVAILABLE (another
  //   upload of the same artefact is open).
  [[nodiscard]] absl::StatusOr<std::unique_ptr<Upload>> OpenUpload(std::string_view digest,
                                                                   uint64_t size_bytes,
                                                                   uint64_t offset);

  // Up to n bytes from `offset`; fewer only at the end.
  // Errors: NOT_FOUND, OUT_OF_RANGE (offset beyond the end), DATA_LOSS.
  [[nodiscard]] absl::StatusOr<std::string> Read(std::string_view digest, uint64_t offset,
                                                 size_t n);

  // Size and path of a complete artefact.
  // Errors: NOT_FOUND.
  [[nodiscard]] absl::StatusOr<uint64_t> SizeOf(std::string_view digest);
  [[nodiscard]] absl::StatusOr<std::filesystem::path> PathOf(std::string_view digest);

  // Reads all of it and compares.
  // Errors: NOT_FOUND, DATA_LOSS (the file is put aside).
  [[nodiscard]] absl::Status Verify(std::string_view digest);

  // Stores bytes made here; returns their digest.
  [[nodiscard]] absl::StatusOr<std::string> Put(std::string_view data);
  // Stores a file that lies on this machine; returns its digest.
  [[nodiscard]] absl::StatusOr<std::string> Import(const std::filesystem::path& path);

  // Complete artefacts, by digest.
  [[nodiscard]] absl::StatusOr<std::vector<ArtifactInfo>> List();

  // Removing what is not there is a success.
  [[nodiscard]] absl::Status Remove(std::string_view digest);

  const std::filesystem::path& root() const { return root_; }

 private:
  explicit ArtifactStore(std::filesystem::path root) : root_(std::move(root)) {}

  std::filesystem::path FilePath(std::string_view hex) const;
  std::filesystem::path PartialPath(std::string_view hex) const;
  // Renames a verified, synced file to its place.
  absl::Status Publish(const std::filesystem::path& aside, std::string_view hex);
  // Verifies unless this very file was verified before.
  absl::Status EnsureVerified(std::string_view digest, const std::filesystem::path& path);
  absl::Status VerifyNow(std::string_view digest, const std::filesystem::path& path);

  // Which file was verified: it is another one if any of these differs.
  struct Identity {
    uint64_t inode = 0;
    uint64_t size = 0;
    int64_t changed_nanos = 0;
    bool operator==(const Identity&) const = default;
  };
  static absl::StatusOr<Identity> IdentityOf(const std::filesystem::path& path);

  const std::filesystem::path root_;
  absl::Mutex mu_;
  std::set<std::string> uploading_ ABSL_GUARDED_BY(mu_);           // hex
  std::map<std::string, Identity> verified_ ABSL_GUARDED_BY(mu_);  // by hex
};

// One writer of one partial file. Dropping it keeps what it wrote for later.
class ArtifactStore::Upload {
 public:
  ~Upload();
  Upload(const Upload&) = delete;
  Upload& operator=(const Upload&) = delete;

  // Errors: INVALID_ARGUMENT (more bytes than announced), RESOURCE_EXHAUSTED.
  [[nodiscard]] absl::Status Append(std::string_view data);
  // Syncs, verifies and publishes.
  // Errors: OUT_OF_RANGE (bytes are missing; the part is kept), DATA_LOSS (not
  //   the digest's content; the part is dropped).
  [[nodiscard]] absl::Status Finish();

  uint64_t stored_bytes() const { return stored_bytes_; }

 private:
  friend class ArtifactStore;
  Upload(ArtifactStore& store, std::string digest, uint64_t size_bytes);

  ArtifactStore& store_;
  const std::string digest_;
  const std::string hex_;
  const uint64_t size_bytes_;
  bool complete_ = false;  // was there already, or is finished
  bool claimed_ = false;   // holds its place in uploading_
  uint64_t stored_bytes_ = 0;
  ScopedFd fd_;
  Sha256 sha_;
};

}  // namespace mead::store
