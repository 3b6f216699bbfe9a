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
#include "worker/train/state/file_format.h"

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
  return file;
}

void SafetensorsFile::Read(const TensorInfo& info, void* destination) const {
  input_.Read(info.begin, destination, static_cast<size_t>(info.bytes));
}

void WriteSafetensors(const std::string& path, std::vector<TensorData> tensors,
                      const std::map<std::string, std::string>& metadata) {
  // Wider elements first, so that every tensor is aligned to its element.
  std::stable_sort(tensors.begin(), tensors.end(), [](const TensorData& a, const TensorData& b) {
    return DTypeBytes(a.dtype) > DTypeBytes(b.dtype);
  });
  const std::string json = MakeHeader(tensors, metadata);
  const uint64_t header_bytes = json.size();
  FileAside aside(path);
  aside.Write(&header_bytes, sizeof(header_bytes));
  aside.Write(json.data(), json.size());
  for (const TensorData& tensor : tensors) {
    const std::shared_ptr<const void> made = tensor.make ? tensor.make() : nullptr;
    aside.Write(made ? made.get() : tensor.data, static_cast<size_t>(BytesOf(tensor)));
  }
  aside.RenameTo(path);
}

}  // namespace mead::train
