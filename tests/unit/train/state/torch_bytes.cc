#include "tests/unit/train/state/torch_bytes.h"

namespace mead::train {

std::string Text(const std::string& text) {
  return "X" + Raw(static_cast<uint32_t>(text.size())) + text;
}

std::string Int(int64_t number) { return "\x8a\x08" + Raw(number); }

std::string Tuple(const std::vector<std::string>& values) {
  std::string tuple = "(";
  for (const std::string& value : values) tuple += value;
  return tuple + "t";
}

std::string Ints(const std::vector<int64_t>& numbers) {
  std::vector<std::string> values;
  for (const int64_t number : numbers) values.push_back(Int(number));
  return Tuple(values);
}

std::string Global(const std::string& module, const std::string& name) {
  return "c" + module + "\n" + name + "\n";
}

std::string Dict(const std::vector<std::pair<std::string, std::string>>& items) {
  const std::string empty = Global("collections", "OrderedDict") + ")R";
  std::string dict = empty + "q\x01(";
  for (const auto& [name, value] : items) dict += Text(name) + value;
  return dict + "u}" + Text("_metadata") + empty + "sb";
}

std::string Storage(const std::string& type, const std::string& key, int64_t elements) {
  return Tuple({Text("storage"), Global("torch", type), Text(key), Text("cpu"), Int(elements)}) +
         "Q";
}

std::string Tensor(const std::string& storage, int64_t offset, const std::vector<int64_t>& shape,
                   const std::vector<int64_t>& strides) {
  return Global("torch._utils", "_rebuild_tensor_v2") +
         Tuple({storage, Int(offset), Ints(shape), Ints(strides), "\x89",
                Global("collections", "OrderedDict") + ")R"}) +
         "R";
}

std::string Pickled(const std::string& value) { return "\x80\x02" + value + "."; }

std::string Zip(const std::vector<ZipPart>& parts, const ZipOptions& options) {
  constexpr uint32_t kIn64 = 0xFFFFFFFF;
  std::string file, directory;
  for (const ZipPart& part : parts) {
    const auto bytes = static_cast<uint32_t>(part.content.size());
    const auto name_bytes = static_cast<uint16_t>(part.name.size());
    const uint64_t header_at = file.size();
    const std::string padding = "FB" + Raw(uint16_t{4}) + "ZZZZ";
    // Without sizes; they follow the data.
    file += "PK\x03\x04" + Raw(uint16_t{0}) + Raw(part.flags) + Raw(part.method) +
            std::string(16, '\0') + Raw(name_bytes) + Raw(static_cast<uint16_t>(padding.size())) +
            part.name + padding + part.content + "PK\x07\x08" + Raw(uint32_t{0}) + Raw(bytes) +
            Raw(bytes);
    std::string extra;
    if (options.zip64) {
      extra = padding + Raw(uint16_t{1}) + Raw(uint16_t{24}) + Raw(uint64_t{bytes}) +
              Raw(uint64_t{bytes}) + Raw(header_at);
    }
    const uint32_t size = options.zip64 ? kIn64 : bytes;
    directory += "PK\x01\x02" + Raw(uint16_t{0}) + Raw(uint16_t{0}) + Raw(part.flags) +
                 Raw(part.method) + std::string(8, '\0') + Raw(size) + Raw(size) + Raw(name_bytes) +
                 Raw(static_cast<uint16_t>(extra.size())) + std::string(10, '\0') +
                 Raw(options.zip64 ? kIn64 : static_cast<uint32_t>(header_at)) + part.name + extra;
  }
  const uint64_t directory_at = file.size();
  const uint64_t end64_at = directory_at + directory.size();
  file += directory;
  if (options.zip64) {
    file += "PK\x06\x06" + Raw(uint64_t{44}) + std::string(12, '\0') + Raw(uint64_t{parts.size()}) +
            Raw(uint64_t{parts.size()}) + Raw(uint64_t{directory.size()}) + Raw(directory_at);
    file += "PK\x06\x07" + Raw(uint32_t{0}) + Raw(end64_at) + Raw(uint32_t{1});
  }
  const auto count = static_cast<uint16_t>(parts.size());
  return file + "PK\x05\x06" + std::string(4, '\0') + Raw(count) + Raw(count) +
         Raw(static_cast<uint32_t>(directory.size())) +
         Raw(options.zip64 ? kIn64 : static_cast<uint32_t>(directory_at)) +
         Raw(static_cast<uint16_t>(options.comment.size())) + options.comment;
}

std::string ZipFile(const std::string& object, const StorageData& data) {
  std::vector<ZipPart> parts = {{.name = "net/data.pkl", .content = Pickled(object)},
                                {.name = "net/byteorder", .content = "little"}};
  for (const auto& [key, bytes] : data) {
    parts.push_back({.name = "net/data/" + key, .content = bytes});
  }
  parts.push_back({.name = "net/version", .content = "3\n"});
  return Zip(parts);
}

std::string LegacyFile(const std::string& object, const std::vector<LegacyData>& data) {
  const std::string machine =
      "}(" + Text("protocol_version") + Int(1001) + Text("little_endian") + "\x88" + "u";
  std::string keys = "](";
  std::string storages;
  for (const LegacyData& storage : data) {
    keys += Text(storage.key);
    storages += Raw(storage.elements) + storage.data;
  }
  return Pickled("\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19") + Pickled("M\xe9\x03") +
         Pickled(machine) + Pickled(object) + Pickled(keys + "e") + storages;
}

}  // namespace mead::train
