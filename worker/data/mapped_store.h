// Decoded pictures in a file that all trainers of a node map: decoded once, then the kernel's page
// cache gives them to every rank and trial, and to those that come later.
//
// Whole:  a picture is seen only once it is whole: pixels are written, then its entry says so. The
//         first time that a process meets one it compares the checksum, which also finds what a
//         crash of the machine lost; such a picture is decoded again.
// Killed: a writer that dies leaves a claim, which others wait for a little (claim_wait) and then
//         pass over. Two that write the same picture write the same bytes to the same place.
// Full:   nothing more is kept from then on, and the log says so once.
// Memory: pages of the file, which the kernel drops when it needs the room.
// Thread: any.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "absl/base/call_once.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/data/cache_folder.h"
#include "worker/data/decoded_store.h"

namespace mead::data {

struct MappedStoreOptions {
  DecodedCacheOptions cache;
  DecodedKind kind;
  std::vector<uint64_t> max_bytes;  // of each picture's pixels
  // How long to wait for a picture that another is decoding.
  absl::Duration claim_wait = absl::Milliseconds(100);
};

class MappedStore : public DecodedStore {
 public:
  // Errors: those of CacheFolder::Open.
  [[nodiscard]] static absl::StatusOr<std::unique_ptr<MappedStore>> Open(
      const MappedStoreOptions& options);

  std::optional<DecodedPicture> Find(size_t picture) override;
  bool Keep(size_t picture, const std::shared_ptr<const dataset::Image>& image) override;
  bool KeepForOthers(size_t picture, const std::shared_ptr<const dataset::Image>& image) override {
    return Keep(picture, image);
  }

  // Pictures that are there for any process.
  size_t NumReady() const;
  const std::string& path() const { return file_->path(); }

 private:
  MappedStore(const MappedStoreOptions& options, CacheFolder folder,
              std::unique_ptr<CacheFile> file);

  std::optional<DecodedPicture> Checked(size_t picture);
  [[nodiscard]] absl::Status TakeRoom(uint64_t bytes);
  void StopKeeping(const absl::Status& status);

  const absl::Duration claim_wait_;
  const std::function<void(const std::string&)> say_;
  CacheFolder folder_;
  const std::unique_ptr<CacheFile> file_;
  std::vector<std::atomic<bool>> checked_;  // by this process
  std::atomic<bool> full_ = false;
  absl::once_flag full_said_;
  absl::once_flag damage_said_;
};

}  // namespace mead::data
