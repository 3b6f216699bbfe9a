#include "worker/data/cache_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"
#include "worker/data/pixel_checksum.h"

namespace mead::data {
namespace {

constexpr uint64_t kPage = 4096;
constexpr char kMagic[8] = {'M', 'E', 'A', 'D', 'P', 'I', 'X', '\n'};
constexpr uint32_t kVersion = 1;
// Pictures beyond it have no place; file systems end at 16 TiB.
constexpr uint64_t kMaxFileBytes = uint64_t{8} << 40;

struct Header {
  char magic[8];
  uint32_t version;
  uint32_t key_bytes;
  uint64_t num_pictures;
  uint64_t file_bytes;
  char key[2048];
  uint64_t checksum;  // of all above
  std::atomic<uint64_t> used_bytes;
  std::atomic<uint64_t> reserved_bytes;
};
static_assert(sizeof(Header) <= kPage);
constexpr size_t kConstantBytes = offsetof(Header, checksum);

uint64_t ChecksumOf(const Header& header) {
  return PixelChecksum(reinterpret_cast<const uint8_t*>(&header), kConstantBytes, kVersion);
}

std::vector<uint64_t> PlacesOf(const CacheFile::Layout& layout) {
  std::vector<uint64_t> places = {kPage + PageBytes(layout.max_bytes.size() * sizeof(IndexEntry))};
  for (const uint64_t bytes : layout.max_bytes) {
    const uint64_t next = places.back() + PageBytes(bytes);
    places.push_back(next > kMaxFileBytes ? places.back() : next);
  }
  return places;
}

void FillHeader(const CacheFile::Layout& layout, uint64_t file_bytes, Header& header) {
  std::memcpy(header.magic, kMagic, sizeof(kMagic));
  header.version = kVersion;
  header.key_bytes = static_cast<uint32_t>(layout.key.size());
  header.num_pictures = layout.max_bytes.size();
  header.file_bytes = file_bytes;
  std::memcpy(header.key, layout.key.data(), layout.key.size());
  header.checksum = ChecksumOf(header);
}

// Why a header is not the one expected; empty: it is.
std::string WhyNot(const Header& header, uint64_t file_bytes, const Header& expected) {
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) return "no cache of pictures";
  if (header.version != kVersion) {
    return absl::StrCat("of format version ", header.version, ", this program's is ", kVersion);
  }
  if (header.checksum != ChecksumOf(header)) return "damaged: its header has another checksum";
  if (std::memcmp(&header, &expected, kConstantBytes) != 0) {
    return absl::StrCat("made for other pictures or by another decoder (",
                        std::string(header.key, std::min<size_t>(header.key_bytes, 200)), ")");
  }
  if (file_bytes != header.file_bytes) {
    return absl::StrCat("cut off: ", file_bytes, " bytes instead of ", header.file_bytes);
  }
  return "";
}

absl::Status ReadHeader(int fd, Header& header) {
  const ssize_t n = pread(fd, static_cast<void*>(&header), sizeof(header), 0);
  if (n < 0) return ErrnoStatus(errno, "cannot read it");
  return absl::OkStatus();  // what a short file lacks stays zero
}

}  // namespace

uint64_t PageBytes(uint64_t bytes) { return (bytes + kPage - 1) / kPage * kPage; }

absl::Status CacheFile::Create(const std::string& path, const Layout& layout) {
  Header header{};
  if (layout.key.size() > sizeof(header.key)) {
    return absl::InvalidArgumentError("the key of a cache file is too long");
  }
  const std::vector<uint64_t> places = PlacesOf(layout);
  FillHeader(layout, places.back(), header);
  const ScopedFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644));
  if (!fd.valid()) return ErrnoStatus(errno, path);
  if (ftruncate(fd.get(), static_cast<off_t>(places.back())) != 0) return ErrnoStatus(errno, path);
  if (const int error = posix_fallocate(fd.get(), 0, static_cast<off_t>(places[0])); error != 0) {
    return ErrnoStatus(error, path);
  }
  if (pwrite(fd.get(), static_cast<const void*>(&header), sizeof(header), 0) !=
      static_cast<ssize_t>(sizeof(header))) {
    return ErrnoStatus(errno, path);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<CacheFile>> CacheFile::Open(const std::string& path,
                                                           const Layout& layout) {
  std::unique_ptr<CacheFile> file(new CacheFile());
  file->path_ = path;
  file->fd_ = ScopedFd(open(path.c_str(), O_RDWR | O_CLOEXEC));
  struct stat info {};
  if (!file->fd_.valid() || fstat(file->fd(), &info) != 0) return ErrnoStatus(errno, path);
  Header expected{};
  Header header{};
  file->places_ = PlacesOf(layout);
  const uint64_t bytes = file->places_.back();
  FillHeader(layout, bytes, expected);
  MEAD_RETURN_IF_ERROR(Annotate(ReadHeader(file->fd(), header), path));
  const std::string why = WhyNot(header, static_cast<uint64_t>(info.st_size), expected);
  if (!why.empty()) return absl::FailedPreconditionError(why);
  // The index and the header must have their blocks; a copied file may have lost them.
  const uint64_t front = file->places_[0];
  if (const int error = posix_fallocate(file->fd(), 0, static_cast<off_t>(front)); error != 0) {
    return ErrnoStatus(error, path);
  }
  void* map = mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file->fd(), 0);
  if (map == MAP_FAILED) return ErrnoStatus(errno, absl::StrCat("cannot map ", path));
  file->map_ = static_cast<uint8_t*>(map);
  if (mprotect(map, front, PROT_READ | PROT_WRITE) != 0) return ErrnoStatus(errno, path);
  file->index_ = reinterpret_cast<IndexEntry*>(file->map_ + kPage);
  return file;
}

uint64_t CacheFile::ReservedBytes(const std::string& path) {
  const ScopedFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  Header header{};
  if (!fd.valid() || !ReadHeader(fd.get(), header).ok()) return 0;
  if (std::memcmp(header.magic, kMagic, sizeof(kMagic)) != 0) return 0;
  return header.reserved_bytes.load(std::memory_order_relaxed);
}

CacheFile::~CacheFile() {
  if (map_ != nullptr) munmap(map_, places_.back());
}

absl::Status CacheFile::Write(size_t picture, const uint8_t* bytes, size_t size) {
  size_t done = 0;
  while (done < size) {
    const ssize_t n =
        pwrite(fd(), bytes + done, size - done, static_cast<off_t>(places_[picture] + done));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return ErrnoStatus(n < 0 ? errno : EIO, path_);
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

std::atomic<uint64_t>& CacheFile::used_bytes() {
  return reinterpret_cast<Header*>(map_)->used_bytes;
}

std::atomic<uint64_t>& CacheFile::reserved_bytes() {
  return reinterpret_cast<Header*>(map_)->reserved_bytes;
}

size_t CacheFile::Recount() {
  uint64_t used = 0;
  size_t ready = 0;
  for (size_t i = 0; i < num_pictures(); ++i) {
    IndexEntry& e = entry(i);
    const uint64_t bytes = uint64_t{3} * e.width * e.height;
    if (e.state == FillState::kReady && bytes <= max_bytes(i)) {
      used += PageBytes(bytes);
      ++ready;
    } else {
      e.state = FillState::kEmpty;
    }
  }
  used_bytes() = used;
  reserved_bytes() = used;
  return ready;
}

}  // namespace mead::data
