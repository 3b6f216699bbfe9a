#include "client/torch_file.h"

#include <array>
#include <map>

#include "absl/strings/str_cat.h"

namespace mead::client {
namespace {

constexpr uint64_t kLargestFile = 0xffffffffu - (16u << 20);  // with room for the directory
constexpr uint64_t kAlignment = 64;

// The lowest `bytes` bytes of a number, lowest first.
std::string Raw(uint64_t number, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i) result += static_cast<char>(number >> (8 * i) & 0xff);
  return result;
}

// CRC-32 of zip (reflected 0x04C11DB7).
uint32_t Checksum(std::string_view data) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0xedb88320u : 0);
      table[i] = value;
    }
    return table;
  }();
  uint32_t sum = 0xffffffffu;
  for (const char c : data) sum = kTable[(sum ^ static_cast<uint8_t>(c)) & 0xff] ^ sum >> 8;
  return ~sum;
}

// Pieces of a pickle, each of which leaves one value on the stack.
std::string Global(std::string_view module, std::string_view name) {
  return absl::StrCat("c", std::string(module), "\n", std::string(name), "\n");
}
std::string Text(std::string_view text) {
  return absl::StrCat("X", Raw(text.size(), 4), std::string(text));
}
std::string Int(int64_t number) {
  if (number >= 0 && number <= 0x7fffffff) return "J" + Raw(static_cast<uint64_t>(number), 4);
  return absl::StrCat("\x8a\x08", Raw(static_cast<uint64_t>(number), 8));  // LONG1
}
std::string Ints(const std::vector<int64_t>& numbers) {
  std::string tuple = "(";
  for (const int64_t number : numbers) tuple += Int(number);
  return tuple + "t";
}
std::string EmptyOrderedDict() { return Global("collections", "OrderedDict") + ")R"; }

std::string_view StorageType(std::string_view dtype) {
  static const std::map<std::string_view, std::string_view> kTypes = {{"F32", "FloatStorage"},
                                                                      {"F16", "HalfStorage"},
                                                                      {"BF16", "BFloat16Storage"},
                                                                      {"F64", "DoubleStorage"},
                                                                      {"I64", "LongStorage"}};
  const auto it = kTypes.find(dtype);
  return it == kTypes.end() ? std::string_view() : it->second;
}

std::vector<int64_t> DenseStrides(const std::vector<int64_t>& shape) {
  std::vector<int64_t> strides(shape.size());
  int64_t stride = 1;
  for (size_t i = shape.size(); i-- > 0;) {
    strides[i] = stride;
    stride *= shape[i];
  }
  return strides;
}

}  // namespace

absl::Status TorchFileWriter::Add(std::string_view name, const results::Tensor& tensor,
                                  std::string_view data) {
  const std::string_view type = StorageType(tensor.dtype);
  if (type.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", std::string(name), " is of type ",
                                                   tensor.dtype,
                                                   ", which is not written to .pth files"));
  }
  if (file_.size() + data.size() > kLargestFile) {
    return absl::ResourceExhaustedError(
        "the model is larger than 4 GiB, more than a .pth file is written for; use "
        "--format safetensors");
  }
  const std::string key = absl::StrCat(storages_++);
  const auto elements = static_cast<int64_t>(data.size() / results::ElementBytes(tensor.dtype));
  absl::StrAppend(&items_, Text(name), Global("torch._utils", "_rebuild_tensor_v2"), "(",
                  // Which storage: ("storage", type, key, device, elements), as a persistent id.
                  "(", Text("storage"), Global("torch", type), Text(key), Text("cpu"),
                  Int(elements), "tQ",
                  // Its view: offset, shape, strides, requires_grad, hooks.
                  Int(0), Ints(tensor.shape), Ints(DenseStrides(tensor.shape)), "\x89",
                  EmptyOrderedDict(), "tR");
  AddEntry("archive/data/" + key, data);
  return absl::OkStatus();
}

// A local header, and padding in its extra field (of id "FB", as torch has it) so that the data
// begin at a multiple of 64.
void TorchFileWriter::AddEntry(const std::string& name, std::string_view data) {
  Entry entry{.name = name,
              .checksum = Checksum(data),
              .bytes = static_cast<uint32_t>(data.size()),
              .offset = static_cast<uint32_t>(file_.size())};
  constexpr uint64_t kHeader = 30, kExtra = 4;
  const uint64_t unpadded = file_.size() + kHeader + name.size() + kExtra;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  absl::StrAppend(&file_, "PK\x03\x04", Raw(20, 2), Raw(0, 2), Raw(0, 2), Raw(0, 2), Raw(0x21, 2),
                  Raw(entry.checksum, 4), Raw(entry.bytes, 4), Raw(entry.bytes, 4),
                  Raw(name.size(), 2), Raw(kExtra + padding, 2), name, "FB", Raw(padding, 2),
                  std::string(padding, 'Z'));
  file_.append(data);
  entries_.push_back(std::move(entry));
}

absl::StatusOr<std::string> TorchFileWriter::Finish() {
  AddEntry("archive/data.pkl", absl::StrCat("\x80\x02", EmptyOrderedDict(), "(", items_, "u."));
  AddEntry("archive/byteorder", "little");
  AddEntry("archive/version", "3\n");
  const uint64_t directory = file_.size();
  for (const Entry& entry : entries_) {
    absl::StrAppend(&file_, "PK\x01\x02", Raw(20, 2), Raw(20, 2), Raw(0, 2), Raw(0, 2), Raw(0, 2),
                    Raw(0x21, 2), Raw(entry.checksum, 4), Raw(entry.bytes, 4), Raw(entry.bytes, 4),
                    Raw(entry.name.size(), 2), Raw(0, 2), Raw(0, 2), Raw(0, 2), Raw(0, 2),
                    Raw(0, 4), Raw(entry.offset, 4), entry.name);
  }
  const uint64_t directory_bytes = file_.size() - directory;
  absl::StrAppend(&file_, "PK\x05\x06", Raw(0, 2), Raw(0, 2), Raw(entries_.size(), 2),
                  Raw(entries_.size(), 2), Raw(directory_bytes, 4), Raw(directory, 4), Raw(0, 2));
  return std::move(file_);
}

}  // namespace mead::client
