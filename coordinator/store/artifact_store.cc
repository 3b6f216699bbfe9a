#include "coordinator/store/artifact_store.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/ids.h"
#include "common/log.h"
#include "common/status_util.h"

namespace mead::store {
namespace {

constexpr size_t kCopyBytes = 1 << 20;

absl::Status RequireDigest(std::string_view digest) {
  if (IsDigest(digest)) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("\"", ToAbsl(digest.substr(0, 100)),
                   "\" is not a digest: expected sha256: and 64 lower-case hexadecimal digits"));
}

absl::Status NoSuchArtifact(std::string_view digest) {
  return absl::NotFoundError(
      absl::StrCat("no artefact ", ToAbsl(digest), " is stored here; upload it first"));
}

// Size of the file; NOT_FOUND if there is none.
absl::StatusOr<uint64_t> FileSize(const std::filesystem::path& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot look at ", path.string()));
  }
  return static_cast<uint64_t>(info.st_size);
}

absl::Status SyncFile(int fd, const std::filesystem::path& path) {
  if (fsync(fd) == 0) return absl::OkStatus();
  return ErrnoStatus(errno, absl::StrCat("cannot sync ", path.string()));
}

// Calls `take` with the file's content, piece by piece.
template <class F>
absl::Status ForEachPiece(int fd, const std::filesystem::path& path, F take) {
  std::string buffer(kCopyBytes, '\0');
  while (true) {
    const ssize_t got = read(fd, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path.string()));
    if (got == 0) return absl::OkStatus();
    MEAD_RETURN_IF_ERROR(take(std::string_view(buffer.data(), static_cast<size_t>(got))));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArtifactStore>> ArtifactStore::Open(
    const std::filesystem::path& root) {
  for (const char* name : {"sha256", "partial", "damaged"}) {
    MEAD_RETURN_IF_ERROR(MakeDirs(root / name));
  }
  std::unique_ptr<ArtifactStore> store(new ArtifactStore(root));
  // Files that Put and Import were writing when the process ended: nobody goes
  // on with them. Uploads are named by their digest and stay.
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root / "partial", error)) {
    if (entry.path().filename().string().starts_with("local-")) {
      std::filesystem::remove(entry.path(), error);
    }
  }
  return store;
}

std::filesystem::path ArtifactStore::FilePath(std::string_view hex) const {
  return root_ / "sha256" / hex.substr(0, 2) / hex;
}

std::filesystem::path ArtifactStore::PartialPath(std::string_view hex) const {
  return root_ / "partial" / hex;
}

absl::StatusOr<ArtifactStat> ArtifactStore::Stat(std::string_view digest) {
  MEAD_RETURN_IF_ERROR(RequireDigest(digest));
  const std::string_view hex = DigestHex(digest);
  for (const bool complete : {true, false}) {
    const absl::StatusOr<uint64_t> size = FileSize(complete ? FilePath(hex) : PartialPath(hex));
    if (size.ok()) return ArtifactStat{.complete = complete, .stored_bytes = *size};
    if (!absl::IsNotFound(size.status())) return size.status();
  }
  return ArtifactStat{};
}

absl::StatusOr<std::unique_ptr<ArtifactStore::Upload>> ArtifactStore::OpenUpload(
    std::string_view digest, uint64_t size_bytes, uint64_t offset) {
  MEAD_RETURN_IF_ERROR(RequireDigest(digest));
  std::unique_ptr<Upload> upload(new Upload(*this, std::string(digest), size_bytes));
  {
    absl::MutexLock lock(&mu_);
    upload->claimed_ = uploading_.insert(upload->hex_).second;
  }
  if (!upload->claimed_) {
    return absl::UnavailableError(
        absl::StrCat("artefact ", ToAbsl(digest), " is being uploaded right now; try again soon"));
  }
  MEAD_ASSIGN_OR_RETURN(const ArtifactStat stat, Stat(digest));
  if (stat.complete) {
    upload->complete_ = true;
    upload->stored_bytes_ = stat.stored_bytes;
    return upload;
  }
  const std::filesystem::path path = PartialPath(upload->hex_);
  if (offset != stat.stored_bytes || offset > size_bytes) {
    if (stat.stored_bytes > size_bytes) {
      // Left by an upload that announced another size: it can never be finished.
      std::error_code ignored;
      std::filesystem::remove(path, ignored);
    }
    return absl::OutOfRangeError(absl::StrCat("the upload of ", ToAbsl(digest), " goes on at byte ",
                                              stat.stored_bytes, ", not at ", offset,
                                              "; ask for its state and send from there"));
  }
  upload->fd_ = ScopedFd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!upload->fd_.valid()) {
    return ErrnoStatus(errno, absl::StrCat("cannot open ", path.string()));
  }
  // Takes in what came before, which also leaves the file's position at its end.
  MEAD_RETURN_IF_ERROR(ForEachPiece(upload->fd_.get(), path, [&](std::string_view piece) {
    upload->sha_.Update(piece);
    upload->stored_bytes_ += piece.size();
    return absl::OkStatus();
  }));
  return upload;
}

absl::Status ArtifactStore::Publish(const std::filesystem::path& aside, std::string_view hex) {
  const std::filesystem::path path = FilePath(hex);
  MEAD_RETURN_IF_ERROR(MakeDirs(path.parent_path()));
  MEAD_ASSIGN_OR_RETURN(const Identity identity, IdentityOf(aside));
  if (rename(aside.c_str(), path.c_str()) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot rename to ", path.string()));
  }
  MEAD_RETURN_IF_ERROR(SyncDir(path.parent_path()));
  MEAD_RETURN_IF_ERROR(SyncDir(path.parent_path().parent_path()));
  absl::MutexLock lock(&mu_);
  verified_[std::string(hex)] = identity;
  return absl::OkStatus();
}

absl::StatusOr<ArtifactStore::Identity> ArtifactStore::IdentityOf(
    const std::filesystem::path& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot look at ", path.string()));
  }
  return Identity{.inode = info.st_ino,
                  .size = static_cast<uint64_t>(info.st_size),
                  .changed_nanos = info.st_mtim.tv_sec * 1'000'000'000 + info.st_mtim.tv_nsec};
}

absl::Status ArtifactStore::EnsureVerified(std::string_view digest,
                                           const std::filesystem::path& path) {
  const absl::StatusOr<Identity> identity = IdentityOf(path);
  if (absl::IsNotFound(identity.status())) return NoSuchArtifact(digest);
  MEAD_RETURN_IF_ERROR(identity.status());
  {
    absl::MutexLock lock(&mu_);
    const auto known = verified_.find(std::string(DigestHex(digest)));
    if (known != verified_.end() && known->second == *identity) return absl::OkStatus();
  }
  return VerifyNow(digest, path);
}

absl::Status ArtifactStore::VerifyNow(std::string_view digest, const std::filesystem::path& path) {
  const absl::StatusOr<Identity> identity = IdentityOf(path);
  if (absl::IsNotFound(identity.status())) return NoSuchArtifact(digest);
  MEAD_RETURN_IF_ERROR(identity.status());
  MEAD_ASSIGN_OR_RETURN(const std::string found, DigestOfFile(path));
  const std::string hex(DigestHex(digest));
  if (found == ToAbsl(digest)) {
    absl::MutexLock lock(&mu_);
    verified_[hex] = *identity;
    return absl::OkStatus();
  }
  const std::filesystem::path aside = root_ / "damaged" / hex;
  std::error_code error;
  std::filesystem::rename(path, aside, error);
  const std::string message = absl::StrCat(
      "artefact ", ToAbsl(digest), " is damaged on the coordinator's disk (its content is ", found,
      error ? ")" : absl::StrCat("; moved to ", aside.string(), ")"),
      "; upload it again (for a data set: mead dataset add), and check the disk");
  Log(LogLevel::kError, message);
  return absl::DataLossError(message);
}

absl::StatusOr<std::string> ArtifactStore::Read(std::string_view digest, uint64_t offset,
                                                size_t n) {
  MEAD_RETURN_IF_ERROR(RequireDigest(digest));
  const std::filesystem::path path = FilePath(DigestHex(digest));
  MEAD_RETURN_IF_ERROR(EnsureVerified(digest, path));
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return errno == ENOENT ? NoSuchArtifact(digest)
                           : ErrnoStatus(errno, absl::StrCat("cannot open ", path.string()));
  }
  struct stat info;
  if (fstat(fd.get(), &info) != 0) {
    return ErrnoStatus(errno, absl::StrCat("cannot look at ", path.string()));
  }
  const uint64_t size = static_cast<uint64_t>(info.st_size);
  if (offset > size) {
    return absl::OutOfRangeError(absl::StrCat("artefact ", ToAbsl(digest), " has ", size,
                                              " bytes; there is nothing at ", offset));
  }
  std::string data(static_cast<size_t>(std::min<uint64_t>(n, size - offset)), '\0');
  for (size_t done = 0; done < data.size();) {
    const ssize_t got =
        pread(fd.get(), data.data() + done, data.size() - done, static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return ErrnoStatus(errno, absl::StrCat("cannot read ", path.string()));
    if (got == 0) {
      return absl::DataLossError(absl::StrCat(path.string(), " became shorter while it was read"));
    }
    done += static_cast<size_t>(got);
  }
  return data;
}

absl::StatusOr<uint64_t> ArtifactStore::SizeOf(std::string_view digest) {
  MEAD_ASSIGN_OR_RETURN(const std::filesystem::path path, PathOf(digest));
  return FileSize(path);
}

absl::StatusOr<std::filesystem::path> ArtifactStore::PathOf(std::string_view digest) {
  MEAD_ASSIGN_OR_RETURN(const ArtifactStat stat, Stat(digest));
  if (!stat.complete) return NoSuchArtifact(digest);
  return FilePath(DigestHex(digest));
}

absl::Status ArtifactStore::Verify(std::string_view digest) {
  MEAD_RETURN_IF_ERROR(RequireDigest(digest));
  return VerifyNow(digest, FilePath(DigestHex(digest)));
}

absl::StatusOr<std::string> ArtifactStore::Put(std::string_view data) {
  const std::string digest = DigestOf(data);
  MEAD_ASSIGN_OR_RETURN(const ArtifactStat stat, Stat(digest));
  if (stat.complete) return digest;
  const std::filesystem::path aside = root_ / "partial" / RandomId("local-", 16);
  MEAD_RETURN_IF_ERROR(WriteFileAtomically(aside, data));
  MEAD_RETURN_IF_ERROR(Publish(aside, DigestHex(digest)));
  return digest;
}

absl::StatusOr<std::string> ArtifactStore::Import(const std::filesystem::path& path) {
  const ScopedFd from(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!from.valid()) return ErrnoStatus(errno, absl::StrCat("cannot open ", path.string()));
  const std::filesystem::path aside = root_ / "partial" / RandomId("local-", 16);
  const auto copy = [&]() -> absl::StatusOr<std::string> {
    const ScopedFd to(open(aside.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
    if (!to.valid()) return ErrnoStatus(errno, absl::StrCat("cannot create ", aside.string()));
    Sha256 sha;
    MEAD_RETURN_IF_ERROR(ForEachPiece(from.get(), path, [&](std::string_view piece) {
      sha.Update(piece);
      return WriteFully(to.get(), piece, aside.string());
    }));
    MEAD_RETURN_IF_ERROR(SyncFile(to.get(), aside));
    const std::string hex = sha.HexDigest();
    MEAD_RETURN_IF_ERROR(Publish(aside, hex));
    return absl::StrCat("sha256:", hex);
  };
  absl::StatusOr<std::string> digest = copy();
  if (!digest.ok()) unlink(aside.c_str());
  return digest;
}

absl::StatusOr<std::vector<ArtifactInfo>> ArtifactStore::List() {
  std::vector<ArtifactInfo> infos;
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator it(root_ / "sha256", error), end;
       !error && it != end; it.increment(error)) {
    const std::string digest = "sha256:" + it->path().filename().string();
    if (!IsDigest(digest)) continue;
    const absl::StatusOr<uint64_t> size = FileSize(it->path());
    if (size.ok()) infos.push_back({digest, *size});  // else removed meanwhile
  }
  if (error) return ErrnoStatus(error.value(), absl::StrCat("cannot list ", root_.string()));
  std::sort(infos.begin(), infos.end(),
            [](const ArtifactInfo& a, const ArtifactInfo& b) { return a.digest < b.digest; });
  return infos;
}

absl::Status ArtifactStore::Remove(std::string_view digest) {
  MEAD_RETURN_IF_ERROR(RequireDigest(digest));
  const std::string hex(DigestHex(digest));
  {
    absl::MutexLock lock(&mu_);
    verified_.erase(hex);
  }
  const std::filesystem::path path = FilePath(hex);
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return ErrnoStatus(errno, absl::StrCat("cannot remove ", path.string()));
  }
  return absl::OkStatus();
}

ArtifactStore::Upload::Upload(ArtifactStore& store, std::string digest, uint64_t size_bytes)
    : store_(store),
      digest_(std::move(digest)),
      hex_(DigestHex(digest_)),
      size_bytes_(size_bytes) {}

ArtifactStore::Upload::~Upload() {
  if (!claimed_) return;
  absl::MutexLock lock(&store_.mu_);
  store_.uploading_.erase(hex_);
}

absl::Status ArtifactStore::Upload::Append(std::string_view data) {
  if (complete_) return absl::OkStatus();
  if (data.size() > size_bytes_ - stored_bytes_) {
    return absl::InvalidArgumentError(
        absl::StrCat("the upload of ", digest_, " was announced with ", size_bytes_,
                     " bytes, and more came; start again with the file's size"));
  }
  if (absl::Status status = WriteFully(fd_.get(), data, store_.PartialPath(hex_).string());
      !status.ok()) {
    // Part of it may have been written: the next Append must not follow a gap
    // in the hash, so the file goes back to what was taken in.
    if (ftruncate(fd_.get(), static_cast<off_t>(stored_bytes_)) != 0 ||
        lseek(fd_.get(), static_cast<off_t>(stored_bytes_), SEEK_SET) < 0) {
      unlink(store_.PartialPath(hex_).c_str());
    }
    return status;
  }
  sha_.Update(data);
  stored_bytes_ += data.size();
  return absl::OkStatus();
}

absl::Status ArtifactStore::Upload::Finish() {
  if (complete_) return absl::OkStatus();
  if (stored_bytes_ < size_bytes_) {
    return absl::OutOfRangeError(absl::StrCat("the upload of ", digest_, " ended at byte ",
                                              stored_bytes_, " of ", size_bytes_,
                                              "; go on from there"));
  }
  const std::filesystem::path path = store_.PartialPath(hex_);
  if (const std::string found = sha_.HexDigest(); found != hex_) {
    unlink(path.c_str());
    return absl::DataLossError(absl::StrCat("what was uploaded as ", digest_, " is sha256:", found,
                                            "; it was dropped: upload it again"));
  }
  MEAD_RETURN_IF_ERROR(SyncFile(fd_.get(), path));
  MEAD_RETURN_IF_ERROR(store_.Publish(path, hex_));
  complete_ = true;
  return absl::OkStatus();
}

}  // namespace mead::store
