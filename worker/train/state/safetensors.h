// The safetensors file format: reading with strict validation, writing safely.
//
// Format: 8 bytes little-endian header length, a JSON header {"name": {"dtype",
//         "shape", "data_offsets": [begin, end]}, "__metadata__": {text: text}},
//         then the tensors' bytes. Tensors cover the data without gap or overlap.
// Source: huggingface/safetensors, README "Format".
// Checksums (ours, and of no concern to other readers): under kChecksumsKey the metadata may
//         hold CRC-32C values of 8 hexadecimal digits each, of the header (with all these
//         digits as '0') and then of each tensor in the order of the data. They are checked
//         by Open and by Read.
// Errors: TrainError naming the file and the byte offset of what is wrong;
//         kUserError for a bad file, kInternal for a disk that does not write.
// Thread: a SafetensorsFile may be read from one thread at a time.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "worker/train/state/dtype.h"
#include "worker/train/state/input_file.h"

namespace mead::train {

inline constexpr const char* kChecksumsKey = "mead.crc32c";

struct TensorInfo {
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  int64_t begin = 0;  // bytes from the start of the file
  int64_t bytes = 0;
  std::optional<uint32_t> crc32c = std::nullopt;
};

class SafetensorsFile {
 public:
  static SafetensorsFile Open(InputFile input);
  static SafetensorsFile Open(const std::string& path) { return Open(InputFile::Open(path)); }

  const std::string& path() const { return input_.path(); }
  const std::map<std::string, TensorInfo>& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  // Reads the bytes of one of tensors(); destination has room for info.bytes.
  // Errors: they have another checksum.
  void Read(const TensorInfo& info, void* destination) const;

 private:
  explicit SafetensorsFile(InputFile input) : input_(std::move(input)) {}
  // Errors: the header's own is another.
  void TakeChecksums(const std::string& json);

  InputFile input_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, std::string> metadata_;
};

// A tensor to write, dense, in row-major order.
struct TensorData {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;
  const void* data = nullptr;  // borrowed
  // In its place: gives the data when its turn comes and takes it back once it is written,
  // so that what must be copied first is never in memory all at once.
  std::function<std::shared_ptr<const void>()> make = nullptr;
};

// Writes to a file beside `path`, syncs it, renames it to `path` and syncs the
// folder: `path` holds the old content or all of the new one, never a part. Where the
// metadata has kChecksumsKey, whatever its value, the file gets checksums.
// data_read, if any, is called when no tensor is looked at any more, before the sync.
void WriteSafetensors(const std::string& path, std::vector<TensorData> tensors,
                      const std::map<std::string, std::string>& metadata,
                      const std::function<void()>& data_read = {});

// Parses a header (exposed for tests and fuzzing). data_start and file_bytes
// place and bound the offsets; path is for messages.
struct SafetensorsHeader {
  std::map<std::string, TensorInfo> tensors;
  std::map<std::string, std::string> metadata;
};
SafetensorsHeader ParseSafetensorsHeader(std::string_view json, int64_t data_start,
                                         int64_t file_bytes, const std::string& path);

}  // namespace mead::train
