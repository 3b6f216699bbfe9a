#include "worker/agent/artifact_cache.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/files.h"
#include "common/log.h"
#include "common/sha256.h"
#include "common/status_util.h"
#include "worker/agent/backoff.h"

namespace mead::agent {
namespace {

namespace fs = std::filesystem;

// A part that nobody has gone on with for this long belongs to nothing any more.
constexpr auto kPartialLifetime = std::chrono::hours(24);
// Content that is wrong this often is wrong at its source.
constexpr int kMaxMismatches = 3;

bool IsHex64(std::string_view name) { return IsDigest(absl::StrCat("sha256:", ToAbsl(name))); }

}  // namespace

bool WaitUnlessStopped(absl::Duration duration, std::stop_token stop) {
  std::mutex mutex;
  std::condition_variable_any changed;
  std::unique_lock lock(mutex);
  changed.wait_for(lock, stop, absl::ToChronoMilliseconds(duration), [] { return false; });
  return !stop.stop_requested();
}

ArtifactCache::Pin::Pin(ArtifactCache* cache, std::string hex, fs::path path)
    : cache_(cache), hex_(std::move(hex)), path_(std::move(path)) {}

ArtifactCache::Pin::Pin(Pin&& other) noexcept { *this = std::move(other); }

ArtifactCache::Pin& ArtifactCache::Pin::operator=(Pin&& other) noexcept {
  std::swap(cache_, other.cache_);
  std::swap(hex_, other.hex_);
  std::swap(path_, other.path_);
  return *this;
}

ArtifactCache::Pin::~Pin() {
  if (cache_ != nullptr) cache_->Unpin(hex_);
}

ArtifactCache::ArtifactCache(ArtifactCacheOptions options, ArtifactSource& source)
    : options_(std::move(options)),
      source_(source),
      blobs_(options_.dir / "blobs"),
      partial_(options_.dir / "partial") {}

absl::StatusOr<std::unique_ptr<ArtifactCache>> ArtifactCache::Open(ArtifactCacheOptions options,
                                                                   ArtifactSource& source) {
  std::unique_ptr<ArtifactCache> cache(new ArtifactCache(std::move(options), source));
  MEAD_RETURN_IF_ERROR(MakeDirs(cache->blobs_));
  MEAD_RETURN_IF_ERROR(MakeDirs(cache->partial_));
  MEAD_RETURN_IF_ERROR(cache->Scan());
  return cache;
}

absl::Status ArtifactCache::Scan() {
  struct Found {
    fs::file_time_type used;
    std::string hex;
    uint64_t bytes;
  };
  std::vector<Found> found;
  std::error_code error;
  for (const fs::directory_entry& file : fs::directory_iterator(blobs_, error)) {
    const std::string name = file.path().filename().string();
    std::error_code ignored;
    if (IsHex64(name))
      found.push_back({file.last_write_time(ignored), name, file.file_size(ignored)});
  }
  if (!error) {
    for (const fs::directory_entry& file : fs::directory_iterator(partial_, error)) {
      std::error_code ignored;
      const auto age = fs::file_time_type::clock::now() - file.last_write_time(ignored);
      if (age > kPartialLifetime) fs::remove(file.path(), ignored);
    }
  }
  if (error) {
    return absl::InternalError(absl::StrCat(options_.dir.string(), ": ", error.message()));
  }
  // A file's time is that of its last use by an earlier process.
  std::sort(found.begin(), found.end(),
            [](const Found& a, const Found& b) { return a.used < b.used; });
  absl::MutexLock lock(&mutex_);
  for (const Found& file : found) {
    Entry& entry = entries_[file.hex];
    entry.bytes = file.bytes;
    entry.last_used = ++use_counter_;
    entry.complete = true;
    bytes_ += file.bytes;
  }
  EvictLocked();
  return absl::OkStatus();
}

absl::StatusOr<ArtifactCache::Pin> ArtifactCache::Fetch(const std::string& digest,
                                                        std::stop_token stop) {
  if (!IsDigest(digest)) {
    return absl::InvalidArgumentError(absl::StrCat("not a digest: '", digest, "'"));
  }
  const std::string hex(DigestHex(digest));
  // Declared before the lock, so that it goes after the lock does: it locks too.
  Pin pin;
  const std::stop_callback wake(stop, [this] {
    absl::MutexLock lock(&mutex_);
    changed_.SignalAll();
  });
  absl::ReleasableMutexLock lock(&mutex_);
  ++entries_[hex].pins;  // from here on the entry stays
  Entry& entry = entries_[hex];
  pin = Pin(this, hex, blobs_ / hex);
  entry.last_used = ++use_counter_;
  while (entry.busy && !stop.stop_requested()) changed_.Wait(&mutex_);
  if (stop.stop_requested()) {
    lock.Release();
    return absl::CancelledError(absl::StrCat("fetch of ", digest, " was stopped"));
  }
  if (entry.complete && entry.verified) return pin;

  entry.busy = true;
  const bool complete = entry.complete;
  lock.Release();
  const absl::Status status = Provide(hex, complete, stop);
  std::error_code error;
  const uint64_t bytes = status.ok() ? fs::file_size(pin.path(), error) : 0;
  {
    absl::MutexLock relock(&mutex_);
    entry.busy = false;
    bytes_ -= entry.bytes;
    entry.bytes = bytes;
    bytes_ += entry.bytes;
    entry.complete = entry.verified = status.ok();
    EvictLocked();
    changed_.SignalAll();
  }
  if (!status.ok()) return status;
  return pin;
}

absl::Status ArtifactCache::Provide(const std::string& hex, bool complete, std::stop_token stop) {
  const fs::path blob = blobs_ / hex;
  std::error_code ignored;
  if (complete) {
    const absl::StatusOr<std::string> actual = Sha256OfFile(blob);
    if (actual.ok() && *actual == hex) {
      fs::last_write_time(blob, fs::file_time_type::clock::now(), ignored);
      return absl::OkStatus();
    }
    Log(LogLevel::kWarning,
        absl::StrCat("the cached copy of sha256:", hex, " is damaged; it is fetched again"));
    fs::remove(blob, ignored);
  }
  Backoff backoff(options_.first_backoff, options_.max_backoff, options_.seed);
  int mismatches = 0;
  bool said = false;
  for (;;) {
    const absl::Status status = Download(hex, stop);
    if (stop.stop_requested()) return absl::CancelledError("fetch was stopped");
    if (status.ok()) return status;
    if (status.code() == absl::StatusCode::kDataLoss && ++mismatches < kMaxMismatches) {
      continue;
    }
    if (status.code() == absl::StatusCode::kOutOfRange) {
      // The part is longer than the artefact: not a part of it.
      fs::remove(partial_ / hex, ignored);
      if (++mismatches < kMaxMismatches) continue;
    }
    // A full disk here does not pass by itself; elsewhere it is the source's affair.
    if (!IsTransient(status) || status.code() == absl::StatusCode::kResourceExhausted) {
      return Annotate(status, absl::StrCat("fetching sha256:", hex));
    }
    if (!std::exchange(said, true)) {
      Log(LogLevel::kWarning,
          absl::StrCat("fetching sha256:", hex, " goes on when it can: ", status.ToString()));
    }
    if (!WaitUnlessStopped(backoff.Next(), stop)) return absl::CancelledError("fetch was stopped");
  }
}

absl::Status ArtifactCache::Download(const std::string& hex, std::stop_token stop) {
  const fs::path part = partial_ / hex;
  {
    const ScopedFd fd(open(part.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
    if (!fd.valid()) return ErrnoStatus(errno, part.string());
    const off_t offset = lseek(fd.get(), 0, SEEK_END);
    MEAD_RETURN_IF_ERROR(source_.Read(
        absl::StrCat("sha256:", hex), static_cast<uint64_t>(offset),
        [&](std::string_view data) { return WriteFully(fd.get(), data, part.string()); }, stop));
  }
  MEAD_ASSIGN_OR_RETURN(const std::string actual, Sha256OfFile(part));
  std::error_code error;
  if (actual != hex) {
    fs::remove(part, error);
    return absl::DataLossError(absl::StrCat("what came for sha256:", hex, " has SHA-256 ", actual));
  }
  fs::rename(part, blobs_ / hex, error);
  if (error) return absl::InternalError(absl::StrCat(part.string(), ": ", error.message()));
  return absl::OkStatus();
}

void ArtifactCache::Unpin(const std::string& hex) {
  absl::MutexLock lock(&mutex_);
  --entries_[hex].pins;
  EvictLocked();
}

void ArtifactCache::EvictLocked() {
  // Nothing in the cache and nobody wants it.
  std::erase_if(entries_,
                [](const auto& item) { return !item.second.complete && item.second.pins == 0; });
  while (bytes_ > options_.capacity_bytes) {
    auto oldest = entries_.end();
    for (auto it = entries_.begin(); it != entries_.end(); ++it) {
      if (it->second.pins > 0) continue;
      if (oldest == entries_.end() || it->second.last_used < oldest->second.last_used) oldest = it;
    }
    if (oldest == entries_.end()) return;  // all in use
    std::error_code ignored;
    fs::remove(blobs_ / oldest->first, ignored);
    bytes_ -= oldest->second.bytes;
    entries_.erase(oldest);
  }
}

uint64_t ArtifactCache::bytes() const {
  absl::MutexLock lock(&mutex_);
  return bytes_;
}

}  // namespace mead::agent
