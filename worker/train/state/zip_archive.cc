#include "worker/train/state/zip_archive.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/train/state/file_format.h"

namespace mead::train {
namespace {

static_assert(std::endian::native == std::endian::little, "zip's numbers are little-endian");

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kDirectoryEntry = 0x02014b50;
constexpr uint32_t kEnd = 0x06054b50;
constexpr uint32_t kEnd64 = 0x06064b50;
constexpr uint32_t kEnd64Locator = 0x07064b50;
constexpr int64_t kLocalHeaderBytes = 30;
constexpr int64_t kDirectoryEntryBytes = 46;
constexpr int64_t kEndBytes = 22;
constexpr int64_t kEnd64Bytes = 56;
constexpr int64_t kEnd64LocatorBytes = 20;
constexpr int64_t kMaxCommentBytes = 0xFFFF;
constexpr int64_t kMaxDirectoryBytes = 16 << 20;
constexpr uint16_t kEncrypted = 1;
constexpr uint16_t kZip64Extra = 1;
constexpr uint32_t kIn64 = 0xFFFFFFFF;  // the number stands in zip64's record

// The caller has checked that the bytes are there.
template <class T>
T At(std::string_view bytes, int64_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

class DirectoryReader {
 public:
  explicit DirectoryReader(const ByteSource& source) : source_(source) {}

  std::map<std::string, ZipEntry> Read() {
    FindDirectory();
    if (directory_bytes_ > kMaxDirectoryBytes) {
      Fail("its directory has " + std::to_string(directory_bytes_) + " bytes, and may have " +
               std::to_string(kMaxDirectoryBytes),
           directory_at_);
    }
    const std::string directory = Bytes(directory_at_, directory_bytes_);
    for (int64_t at = 0; at < directory_bytes_;) at = ReadEntry(directory, at);
    if (entries_.size() != entry_count_) {
      Fail("its directory holds " + std::to_string(entries_.size()) + " entries where " +
               std::to_string(entry_count_) + " are announced",
           directory_at_);
    }
    CheckOverlaps();
    return std::move(entries_);
  }

 private:
  [[noreturn]] void Fail(const std::string& what, int64_t at) const {
    FailFormat(source_.path(), kTorchFormat, what, at);
  }

  std::string Bytes(int64_t at, int64_t count) const {
    std::string bytes(static_cast<size_t>(count), '\0');
    source_.Read(at, bytes.data(), bytes.size());
    return bytes;
  }

  // Sets where the directory lies, within the file.
  void FindDirectory() {
    const int64_t tail_bytes = std::min(source_.bytes(), kEndBytes + kMaxCommentBytes);
    const int64_t tail_at = source_.bytes() - tail_bytes;
    const std::string tail = Bytes(tail_at, tail_bytes);
    int64_t at = tail_bytes - kEndBytes;
    while (at >= 0 && (At<uint32_t>(tail, at) != kEnd ||
                       at + kEndBytes + At<uint16_t>(tail, at + 20) != tail_bytes)) {
      --at;
    }
    if (at < 0) Fail("a zip archive without its end: truncated", source_.bytes());
    const int64_t end_at = tail_at + at;
    entry_count_ = At<uint16_t>(tail, at + 10);
    uint64_t bytes = At<uint32_t>(tail, at + 12);
    uint64_t begin = At<uint32_t>(tail, at + 16);
    int64_t limit = end_at;
    if (entry_count_ == 0xFFFF || bytes == kIn64 || begin == kIn64) {
      limit = FindEnd64(end_at);
      const std::string end = Bytes(limit, kEnd64Bytes);
      entry_count_ = At<uint64_t>(end, 32);
      bytes = At<uint64_t>(end, 40);
      begin = At<uint64_t>(end, 48);
    }
    if (begin > static_cast<uint64_t>(limit) || bytes > static_cast<uint64_t>(limit) - begin) {
      Fail("its directory would lie at byte " + std::to_string(begin) + " with " +
               std::to_string(bytes) + " bytes",
           end_at);
    }
    directory_at_ = static_cast<int64_t>(begin);
    directory_bytes_ = static_cast<int64_t>(bytes);
  }

  int64_t FindEnd64(int64_t end_at) const {
    const int64_t locator_at = end_at - kEnd64LocatorBytes;
    if (locator_at < kEnd64Bytes) Fail("a zip64 archive without its end record", end_at);
    const std::string locator = Bytes(locator_at, kEnd64LocatorBytes);
    const auto at = At<uint64_t>(locator, 8);
    if (At<uint32_t>(locator, 0) != kEnd64Locator ||
        at > static_cast<uint64_t>(locator_at - kEnd64Bytes) ||
        At<uint32_t>(Bytes(static_cast<int64_t>(at), 4), 0) != kEnd64) {
      Fail("a zip64 archive without its end record", locator_at);
    }
    return static_cast<int64_t>(at);
  }

  // Returns where the next entry begins.
  int64_t ReadEntry(std::string_view directory, int64_t at) {
    const int64_t file_at = directory_at_ + at;
    if (directory_bytes_ - at < kDirectoryEntryBytes ||
        At<uint32_t>(directory, at) != kDirectoryEntry) {
      Fail("expected an entry of the directory", file_at);
    }
    const auto flags = At<uint16_t>(directory, at + 8);
    const auto method = At<uint16_t>(directory, at + 10);
    const int64_t name_bytes = At<uint16_t>(directory, at + 28);
    const int64_t extra_bytes = At<uint16_t>(directory, at + 30);
    const int64_t next =
        at + kDirectoryEntryBytes + name_bytes + extra_bytes + At<uint16_t>(directory, at + 32);
    if (next > directory_bytes_) Fail("an entry reaches beyond the directory", file_at);
    std::string name(directory.substr(static_cast<size_t>(at + kDirectoryEntryBytes),
                                      static_cast<size_t>(name_bytes)));
    uint64_t stored = At<uint32_t>(directory, at + 20);
    uint64_t unpacked = At<uint32_t>(directory, at + 24);
    uint64_t header_at = At<uint32_t>(directory, at + 42);
    if (stored == kIn64 || unpacked == kIn64 || header_at == kIn64) {
      // In this order, each only if its place says so.
      Read64(directory.substr(static_cast<size_t>(at + kDirectoryEntryBytes + name_bytes),
                              static_cast<size_t>(extra_bytes)),
             {&unpacked, &stored, &header_at}, file_at);
    }
    if (flags & kEncrypted) Fail("'" + name + "' is encrypted", file_at);
    if (method != 0 || stored != unpacked) {
      Fail("'" + name + "' is compressed, which torch.save never does", file_at);
    }
    const ZipEntry entry = Place(name, header_at, stored, file_at);
    spans_.push_back({static_cast<int64_t>(header_at), entry.begin + entry.bytes});
    if (!entries_.emplace(name, entry).second) Fail("'" + name + "' comes twice", file_at);
    return next;
  }

  void Read64(std::string_view extra, std::initializer_list<uint64_t*> numbers,
              int64_t file_at) const {
    while (extra.size() >= 4) {
      const auto kind = At<uint16_t>(extra, 0);
      const size_t bytes = At<uint16_t>(extra, 2);
      extra.remove_prefix(4);
      if (bytes > extra.size()) break;
      if (kind == kZip64Extra) {
        std::string_view record = extra.substr(0, bytes);
        for (uint64_t* number : numbers) {
          if (*number != kIn64) continue;
          if (record.size() < 8) break;
          *number = At<uint64_t>(record, 0);
          record.remove_prefix(8);
        }
        return;
      }
      extra.remove_prefix(bytes);
    }
    Fail("an entry lacks its zip64 sizes", file_at);
  }

  // Where the entry's bytes lie; local headers have lengths of their own.
  ZipEntry Place(const std::string& name, uint64_t header_at, uint64_t bytes,
                 int64_t file_at) const {
    const auto limit = static_cast<uint64_t>(directory_at_);
    if (header_at > limit || limit - header_at < kLocalHeaderBytes) {
      Fail("'" + name + "' would begin at byte " + std::to_string(header_at), file_at);
    }
    const std::string header = Bytes(static_cast<int64_t>(header_at), kLocalHeaderBytes);
    if (At<uint32_t>(header, 0) != kLocalHeader) {
      Fail("'" + name + "' has no header there", static_cast<int64_t>(header_at));
    }
    const uint64_t begin =
        header_at + kLocalHeaderBytes + At<uint16_t>(header, 26) + At<uint16_t>(header, 28);
    if (begin > limit || bytes > limit - begin) {
      Fail("'" + name + "' of " + std::to_string(bytes) + " bytes reaches into the directory",
           file_at);
    }
    return {.begin = static_cast<int64_t>(begin), .bytes = static_cast<int64_t>(bytes)};
  }

  void CheckOverlaps() {
    std::sort(spans_.begin(), spans_.end());
    for (size_t i = 1; i < spans_.size(); ++i) {
      if (spans_[i].first < spans_[i - 1].second) {
        Fail("two entries overlap", spans_[i].first);
      }
    }
  }

  const ByteSource& source_;
  int64_t directory_at_ = 0;
  int64_t directory_bytes_ = 0;
  uint64_t entry_count_ = 0;
  std::map<std::string, ZipEntry> entries_;
  std::vector<std::pair<int64_t, int64_t>> spans_;  // with headers, from and to
};

}  // namespace

std::map<std::string, ZipEntry> ReadZipDirectory(const ByteSource& source) {
  return DirectoryReader(source).Read();
}

}  // namespace mead::train
