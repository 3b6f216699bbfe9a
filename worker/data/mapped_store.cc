#include "worker/data/mapped_store.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <climits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/sha256.h"
#include "common/status_util.h"
#include "worker/data/pixel_checksum.h"

namespace mead::data {
namespace {

// std::atomic's own waiting does not reach other processes.
void WaitForChange(std::atomic<FillState>& state, FillState from, absl::Duration most) {
  const timespec time = absl::ToTimespec(most);
  syscall(SYS_futex, &state, FUTEX_WAIT, from, &time, nullptr, 0);
}

void WakeThoseWhoWait(std::atomic<FillState>& state) {
  syscall(SYS_futex, &state, FUTEX_WAKE, INT_MAX, nullptr, nullptr, 0);
}

uint64_t Seed(PictureSize size) {
  return static_cast<uint64_t>(size.width) << 32 | static_cast<uint32_t>(size.height);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MappedStore>> MappedStore::Open(const MappedStoreOptions& options) {
  const DecodedCacheOptions& cache = options.cache;
  const std::string split(dataset::SplitName(options.kind.split));
  CacheFile::Layout layout;
  layout.key = absl::StrCat("data set ", cache.dataset_digest, ", ", split, ", decode side ",
                            options.kind.decode_side, ", variant '", options.kind.variant, "', ",
                            dataset::DecoderVersion());
  layout.max_bytes = options.max_bytes;
  // The key decides; the name need only tell files apart, for the machine and for people.
  std::string name = absl::StrCat(std::string(DigestHex(cache.dataset_digest)).substr(0, 16), "-",
                                  split, "-", options.kind.decode_side);
  if (!options.kind.variant.empty()) {
    const std::string digest = DigestOf(options.kind.variant);
    absl::StrAppend(&name, "-", std::string(DigestHex(digest)).substr(0, 8));
  }
  CacheFolder folder({.dir = cache.dir,
                      .limit_bytes = cache.limit_bytes,
                      .keep_free_bytes = cache.keep_free_bytes,
                      .say = cache.say});
  MEAD_ASSIGN_OR_RETURN(std::unique_ptr<CacheFile> file, folder.Open(name, layout));
  std::unique_ptr<MappedStore> store(new MappedStore(options, std::move(folder), std::move(file)));
  store->say_(absl::StrCat("decoded pictures (", split, ", ", options.kind.decode_side,
                           " a side): ", store->NumReady(), " of ", options.max_bytes.size(),
                           " are in the node's cache, ", store->path()));
  return store;
}

MappedStore::MappedStore(const MappedStoreOptions& options, CacheFolder folder,
                         std::unique_ptr<CacheFile> file)
    : claim_wait_(options.claim_wait),
      say_(options.cache.say),
      folder_(std::move(folder)),
      file_(std::move(file)),
      checked_(file_->num_pictures()) {}

std::optional<DecodedPicture> MappedStore::Find(size_t picture) {
  std::atomic<FillState>& state = file_->entry(picture).state;
  std::optional<absl::Time> until;
  for (;;) {
    FillState now = state.load(std::memory_order_acquire);
    if (now == FillState::kReady) return Checked(picture);
    if (full_ || file_->max_bytes(picture) == 0) return std::nullopt;
    if (now == FillState::kEmpty) {
      if (state.compare_exchange_strong(now, FillState::kFilling)) return std::nullopt;
      continue;
    }
    if (!until.has_value()) until = absl::Now() + claim_wait_;
    const absl::Duration left = *until - absl::Now();
    if (left <= absl::ZeroDuration()) return std::nullopt;  // whoever it was, it is ours now
    WaitForChange(state, now, left);
  }
}

std::optional<DecodedPicture> MappedStore::Checked(size_t picture) {
  IndexEntry& entry = file_->entry(picture);
  const uint32_t width = entry.width.load(std::memory_order_relaxed);
  const uint32_t height = entry.height.load(std::memory_order_relaxed);
  const uint64_t bytes = uint64_t{3} * width * height;
  const PictureSize size{static_cast<int>(width), static_cast<int>(height)};
  const uint8_t* const pixels = file_->pixels(picture);
  if (!checked_[picture].load(std::memory_order_relaxed)) {
    if (bytes == 0 || bytes > file_->max_bytes(picture) ||
        PixelChecksum(pixels, bytes, Seed(size)) != entry.checksum) {
      absl::call_once(damage_said_, [&] {
        say_(absl::StrCat("picture ", picture, " in ", path(),
                          " is damaged; it and others like it are decoded again"));
      });
      FillState ready = FillState::kReady;
      entry.state.compare_exchange_strong(ready, FillState::kFilling);
      return std::nullopt;
    }
    checked_[picture].store(true, std::memory_order_relaxed);
  }
  return DecodedPicture{size, pixels, nullptr};
}

absl::Status MappedStore::TakeRoom(uint64_t bytes) {
  std::atomic<uint64_t>& used = file_->used_bytes();
  for (;;) {
    uint64_t before = used;
    while (before + bytes <= file_->reserved_bytes()) {
      if (used.compare_exchange_weak(before, before + bytes)) return absl::OkStatus();
    }
    MEAD_RETURN_IF_ERROR(folder_.Reserve(*file_, bytes));
  }
}

void MappedStore::StopKeeping(const absl::Status& status) {
  full_ = true;
  absl::call_once(full_said_, [&] {
    say_(absl::StrCat("no more decoded pictures are kept in ", path(),
                      "; those that are not there are decoded in every epoch, which is slower: ",
                      std::string(status.message())));
  });
}

bool MappedStore::Keep(size_t picture, const std::shared_ptr<const dataset::Image>& image) {
  IndexEntry& entry = file_->entry(picture);
  const uint64_t bytes = image->pixels.size();
  if (bytes > file_->max_bytes(picture) || full_) {
    FillState filling = FillState::kFilling;
    if (entry.state.compare_exchange_strong(filling, FillState::kEmpty)) {
      WakeThoseWhoWait(entry.state);
    }
    return false;
  }
  if (entry.state.load(std::memory_order_acquire) == FillState::kReady) return true;
  const uint64_t disk = PageBytes(bytes);
  absl::Status status = TakeRoom(disk);
  if (status.ok()) {
    status = file_->Write(picture, image->pixels.data(), bytes);
    if (!status.ok()) file_->used_bytes() -= disk;
  }
  if (!status.ok()) {
    StopKeeping(status);
    return Keep(picture, image);  // gives the claim back
  }
  const PictureSize size{image->width, image->height};
  entry.width.store(static_cast<uint32_t>(size.width), std::memory_order_relaxed);
  entry.height.store(static_cast<uint32_t>(size.height), std::memory_order_relaxed);
  entry.checksum.store(PixelChecksum(image->pixels.data(), bytes, Seed(size)),
                       std::memory_order_relaxed);
  if (entry.state.exchange(FillState::kReady) == FillState::kReady) {
    file_->used_bytes() -= disk;  // another was first
  }
  WakeThoseWhoWait(entry.state);
  checked_[picture].store(true, std::memory_order_relaxed);
  return true;
}

size_t MappedStore::NumReady() const {
  size_t ready = 0;
  for (size_t i = 0; i < file_->num_pictures(); ++i) {
    if (file_->entry(i).state.load(std::memory_order_relaxed) == FillState::kReady) ++ready;
  }
  return ready;
}

}  // namespace mead::data
