// Files of torch.save, built byte by byte.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace mead::train {

// The bytes of a number, lowest first.
template <class T>
std::string Raw(T number) {
  return {reinterpret_cast<const char*>(&number), sizeof(number)};
}

// Pieces of a pickle; each leaves one value on the stack.
std::string Text(const std::string& text);
std::string Int(int64_t number);
std::string Ints(const std::vector<int64_t>& numbers);  // a tuple
std::string Tuple(const std::vector<std::string>& values);
std::string Global(const std::string& module, const std::string& name);
// Keys and values by turns, as an OrderedDict with _metadata.
std::string Dict(const std::vector<std::pair<std::string, std::string>>& items);
std::string Storage(const std::string& type, const std::string& key, int64_t elements);
std::string Tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides);
// A whole one.
std::string Pickled(const std::string& value);

struct ZipPart {
  std::string name;
  std::string content = {};
  uint16_t flags = 0x0808;  // as torch.save sets them
  uint16_t method = 0;
};
struct ZipOptions {
  bool zip64 = false;
  std::string comment = {};
};
std::string Zip(const std::vector<ZipPart>& parts, const ZipOptions& options = {});

// Both formats; `data` is by key, in the order of the file.
using StorageData = std::vector<std::pair<std::string, std::string>>;
std::string ZipFile(const std::string& object, const StorageData& data);
struct LegacyData {
  std::string key;
  int64_t elements = 0;
  std::string data;
};
std::string LegacyFile(const std::string& object, const std::vector<LegacyData>& data);

}  // namespace mead::train
