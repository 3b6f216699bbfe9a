#include "worker/train/state/safetensors.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "worker/train/errors.h"
#include "worker/train/state/crc32c.h"
#include "worker/train/state/file_format.h"
#include "worker/train/state/safetensors_checksums.h"

namespace mead::train {
namespace {

static_assert(std::endian::native == std::endian::little, "safetensors data is little-endian");

// The limit of the reference implementation.
constexpr uint64_t kMaxHeaderBytes = 100'000'000;

[[noreturn]] void FailDisk(const std::string& path, const std::string& what) {
  throw TrainError(ErrorKind::kInternal, path + ": " + what + ": " + std::strerror(errno) +
                                             "; check that the disk has space and is writable");
}

void WriteFully(int descriptor, const void* source, size_t bytes, const std::string& path) {
  const auto* at = static_cast<const char*>(source);
  while (bytes > 0) {
    const ssize_t put = write(descriptor, at, bytes);
    if (put < 0 && errno == EINTR) continue;
    if (put < 0) FailDisk(path, "cannot be written");
    at += put;
    bytes -= static_cast<size_t>(put);
  }
}

std::string Quote(const std::string& text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted += '\\';
      quoted += c;
    } else if (static_cast<unsigned char>(c) < 0x20) {
      char escape[8];
      std::snprintf(escape, sizeof(escape), "\\u%04x", static_cast<unsigned>(c));
      quoted += escape;
    } else {
      quoted += c;
    }
  }
  return quoted + "\"";
}

int64_t BytesOf(const TensorData& tensor) {
  int64_t bytes = DTypeBytes(tensor.dtype);
  for (int64_t size : tensor.shape) bytes *= size;
  return bytes;
}

std::string MakeHeader(const std::vector<TensorData>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  std::string json = "{";
  if (!metadata.empty()) {
    json += "\"__metadata__\":{";
    for (const auto& [key, value] : metadata) json += Quote(key) + ":" + Quote(value) + ",";
    json.back() = '}';
    json += ',';
  }
  int64_t offset = 0;
  for (const TensorData& tensor : tensors) {
    const int64_t end = offset + BytesOf(tensor);
    json += Quote(tensor.name) + ":{\"dtype\":\"" + DTypeName(tensor.dtype) +
            "\",\"shape\":" + ShapeText(tensor.shape) + ",\"data_offsets\":[" +
            std::to_string(offset) + "," + std::to_string(end) + "]},";
    offset = end;
  }
  if (json.size() > 1) json.pop_back();
  json += '}';
  json.append((8 - json.size() % 8) % 8, ' ');  // the data starts aligned
  return json;
}

// Removes the file aside unless it was renamed.
class FileAside {
 public:
  explicit FileAside(const std::string& path)
      : path_(path + ".tmp." + std::to_string(getpid())),
        descriptor_(open(path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
    if (descriptor_ < 0) FailDisk(path_, "cannot be made");
  }
  ~FileAside() {
    if (descriptor_ >= 0) close(descriptor_);
    if (!renamed_) unlink(path_.c_str());
  }
  FileAside(const FileAside&) = delete;
  FileAside& operator=(const FileAside&) = delete;

  void Write(const void* data, size_t bytes) { WriteFully(descriptor_, data, bytes, path_); }

  // In place of what was written there.
  void WriteAgain(int64_t at, const void* data, size_t bytes) {
    if (lseek(descriptor_, at, SEEK_SET) != at) FailDisk(path_, "cannot be written");
    Write(data, bytes);
  }

  void RenameTo(const std::string& path) {
    if (fsync(descriptor_) != 0) FailDisk(path_, "cannot be synced");
    if (close(std::exchange(descriptor_, -1)) != 0) FailDisk(path_, "cannot be closed");
    if (rename(path_.c_str(), path.c_str()) != 0) FailDisk(path, "cannot be renamed into place");
    renamed_ = true;
    const size_t slash = path.rfind('/');
    const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
    const int folder_descriptor = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder_descriptor < 0) FailDisk(folder, "cannot be opened");
    const bool synced = fsync(folder_descriptor) == 0;
    close(folder_descriptor);
    if (!synced) FailDisk(folder, "cannot be synced");
  }

 private:
  std::string path_;
  int descriptor_;
  bool renamed_ = false;
};

}  // namespace

SafetensorsFile SafetensorsFile::Open(InputFile input) {
  SafetensorsFile file(std::move(input));
  const int64_t file_bytes = file.input_.bytes();
  const auto fail = [&](const std::string& what) {
    FailFormat(file.path(), kSafetensorsFormat, what, 0);
  };
  if (file_bytes < 8) {
    fail("it has " + std::to_string(file_bytes) + " bytes and needs at least 8");
  }
  uint64_t header_bytes = 0;
  file.input_.Read(0, &header_bytes, sizeof(header_bytes));
  if (header_bytes > kMaxHeaderBytes || header_bytes > static_cast<uint64_t>(file_bytes - 8)) {
    fail("it names a header of " + std::to_string(header_bytes) + " bytes in a file of " +
         std::to_string(file_bytes) + ": truncated, or of another format");
  }
  std::string json(header_bytes, '\0');
  file.input_.Read(8, json.data(), json.size());
  SafetensorsHeader header =
      ParseSafetensorsHeader(json, 8 + static_cast<int64_t>(header_bytes), file_bytes, file.path());
  file.tensors_ = std::move(header.tensors);
  file.metadata_ = std::move(header.metadata);
  file.TakeChecksums(json);
  return file;
}

void SafetensorsFile::TakeChecksums(const std::string& json) {
  const auto found = metadata_.find(kChecksumsKey);
  if (found == metadata_.end()) return;
  const auto checksums = CheckedChecksums(json, found->second, tensors_.size());
  if (!checksums) {
    FailFormat(path(), kSafetensorsFormat, "its header is damaged: it has another checksum", 8);
  }
  std::vector<TensorInfo*> in_order;
  for (auto& [name, info] : tensors_) in_order.push_back(&info);
  std::sort(in_order.begin(), in_order.end(), [](const TensorInfo* a, const TensorInfo* b) {
    return std::pair(a->begin, a->bytes) < std::pair(b->begin, b->bytes);
  });
  for (size_t i = 0; i < in_order.size(); ++i) in_order[i]->crc32c = (*checksums)[i];
}

void SafetensorsFile::Read(const TensorInfo& info, void* destination) const {
  const auto bytes = static_cast<size_t>(info.bytes);
  input_.Read(info.begin, destination, bytes);
  if (!info.crc32c || Crc32c(destination, bytes) == *info.crc32c) return;
  std::string name = "?";
  for (const auto& [candidate, its_info] : tensors_) {
    if (its_info.begin == info.begin && its_info.bytes == info.bytes) name = candidate;
  }
  FailFormat(path(), kSafetensorsFormat,
             "tensor '" + name + "' of " + std::to_string(info.bytes) +
                 " bytes is damaged: it has another checksum",
             info.begin);
}

void WriteSafetensors(const std::string& path, std::vector<TensorData> tensors,
                      const std::map<std::string, std::string>& metadata,
                      const std::function<void()>& data_read) {
  std::map<std::string, std::string> filled = metadata;
  const bool with_checksums = filled.contains(kChecksumsKey);
  if (with_checksums) filled[kChecksumsKey] = ChecksumPlaces(tensors.size());
  // Wider elements first, so that every tensor is aligned to its element.
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorData& a, const TensorData& b) {
    return DTypeBytes(a.dtype) > DTypeBytes(b.dtype);
  });
  std::string json = MakeHeader(tensors, filled);
  const uint64_t header_bytes = json.size();
  FileAside aside(path);
  aside.Write(&header_bytes, sizeof(header_bytes));
  aside.Write(json.data(), json.size());
  std::vector<uint32_t> checksums;
  for (const TensorData& tensor : tensors) {
    const std::shared_ptr<const void> made = tensor.make ? tensor.make() : nullptr;
    const void* data = made ? made.get() : tensor.data;
    const auto bytes = static_cast<size_t>(BytesOf(tensor));
    if (with_checksums) checksums.push_back(Crc32c(data, bytes));
    aside.Write(data, bytes);
  }
  if (data_read) data_read();
  if (with_checksums) {
    FillChecksums(checksums, json);
    aside.WriteAgain(sizeof(header_bytes), json.data(), json.size());
  }
  aside.RenameTo(path);
}

}  // namespace mead::train
