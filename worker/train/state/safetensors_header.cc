// The header's JSON. A parser of our own: the folder depends on nothing but
// LibTorch, the grammar is tiny, and duplicate keys must be an error.
#include <algorithm>
#include <charconv>
#include <limits>
#include <optional>

#include "worker/train/state/file_format.h"
#include "worker/train/state/safetensors.h"

namespace mead::train {
namespace {

class HeaderParser {
 public:
  HeaderParser(std::string_view json, int64_t data_start, int64_t file_bytes,
               const std::string& path)
      : json_(json), data_start_(data_start), file_bytes_(file_bytes), path_(path) {}

  SafetensorsHeader Parse() {
    SafetensorsHeader header;
    // The format says that the header begins with '{', without spaces before.
    if (json_.empty() || json_.front() != '{') Fail("the header does not begin with '{'");
    Object([&](const std::string& name, size_t key_at) {
      if (name == "__metadata__") {
        if (!header.metadata.empty()) Fail("__metadata__ comes twice", key_at);
        Object([&](const std::string& key, size_t at) {
          if (!header.metadata.emplace(key, String()).second) {
            Fail("metadata '" + key + "' comes twice", at);
          }
        });
        return;
      }
      if (!header.tensors.emplace(name, Tensor(name, key_at)).second) {
        Fail("tensor '" + name + "' comes twice", key_at);
      }
    });
    Spaces();
    if (at_ != json_.size()) Fail("text after the header's closing '}'");
    CheckCoverage(header.tensors);
    return header;
  }

 private:
  [[noreturn]] void Fail(const std::string& what) const { Fail(what, at_); }
  [[noreturn]] void Fail(const std::string& what, size_t at) const {
    FailFormat(path_, kSafetensorsFormat, what, static_cast<int64_t>(8 + at));
  }

  void Spaces() {
    while (at_ < json_.size() &&
           (json_[at_] == ' ' || json_[at_] == '\n' || json_[at_] == '\t' || json_[at_] == '\r')) {
      ++at_;
    }
  }

  bool TryTake(char c) {
    Spaces();
    if (at_ >= json_.size() || json_[at_] != c) return false;
    ++at_;
    return true;
  }

  void Take(char c) {
    if (!TryTake(c)) Fail(std::string("expected '") + c + "'");
  }

  template <typename OnMember>
  void Object(OnMember on_member) {
    Take('{');
    if (TryTake('}')) return;
    do {
      Spaces();
      const size_t key_at = at_;
      const std::string key = String();
      Take(':');
      on_member(key, key_at);
    } while (TryTake(','));
    Take('}');
  }

  std::vector<int64_t> Integers() {
    std::vector<int64_t> values;
    Take('[');
    if (TryTake(']')) return values;
    do {
      Spaces();
      int64_t value = 0;
      const char* begin = json_.data() + at_;
      const auto [end, error] = std::from_chars(begin, json_.data() + json_.size(), value);
      if (error != std::errc() || value < 0) Fail("expected an integer that is not negative");
      at_ += static_cast<size_t>(end - begin);
      values.push_back(value);
    } while (TryTake(','));
    Take(']');
    return values;
  }

  std::string String() {
    Take('"');
    std::string text;
    while (true) {
      if (at_ >= json_.size()) Fail("the header ends within a string");
      const char c = json_[at_++];
      if (c == '"') return text;
      if (static_cast<unsigned char>(c) < 0x20) Fail("control character in a string");
      if (c != '\\') {
        text += c;
        continue;
      }
      if (at_ >= json_.size()) Fail("the header ends within a string");
      switch (json_[at_++]) {
        case '"':
          text += '"';
          break;
        case '\\':
          text += '\\';
          break;
        case '/':
          text += '/';
          break;
        case 'b':
          text += '\b';
          break;
        case 'f':
          text += '\f';
          break;
        case 'n':
          text += '\n';
          break;
        case 'r':
          text += '\r';
          break;
        case 't':
          text += '\t';
          break;
        case 'u':
          AppendUtf8(CodePoint(), text);
          break;
        default:
          Fail("unknown escape in a string");
      }
    }
  }

  uint32_t Hex4() {
    uint32_t value = 0;
    if (json_.size() - at_ < 4) Fail("the header ends within a string");
    const char* begin = json_.data() + at_;
    const auto [end, error] = std::from_chars(begin, begin + 4, value, 16);
    if (error != std::errc() || end != begin + 4) Fail("expected four hexadecimal digits");
    at_ += 4;
    return value;
  }

  uint32_t CodePoint() {
    const uint32_t high = Hex4();
    if (high < 0xD800 || high > 0xDFFF) return high;
    if (high > 0xDBFF || json_.substr(at_, 2) != "\\u") Fail("unpaired surrogate in a string");
    at_ += 2;
    const uint32_t low = Hex4();
    if (low < 0xDC00 || low > 0xDFFF) Fail("unpaired surrogate in a string");
    return 0x10000 + ((high - 0xD800) << 10) + (low - 0xDC00);
  }

  static void AppendUtf8(uint32_t code, std::string& text) {
    if (code < 0x80) {
      text += static_cast<char>(code);
    } else if (code < 0x800) {
      text += static_cast<char>(0xC0 | (code >> 6));
      text += static_cast<char>(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      text += static_cast<char>(0xE0 | (code >> 12));
      text += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    } else {
      text += static_cast<char>(0xF0 | (code >> 18));
      text += static_cast<char>(0x80 | ((code >> 12) & 0x3F));
      text += static_cast<char>(0x80 | ((code >> 6) & 0x3F));
      text += static_cast<char>(0x80 | (code & 0x3F));
    }
  }

  TensorInfo Tensor(const std::string& name, size_t key_at) {
    TensorInfo info;
    std::vector<int64_t> offsets;
    int fields = 0;
    Object([&](const std::string& key, size_t at) {
      if (key == "dtype" && !(fields & 1)) {
        fields |= 1;
        const std::string text = String();
        const std::optional<DType> dtype = DTypeFromName(text);
        if (!dtype.has_value()) {
          Fail("tensor '" + name + "' has unknown dtype '" + text + "'", at);
        }
        info.dtype = *dtype;
      } else if (key == "shape" && !(fields & 2)) {
        fields |= 2;
        info.shape = Integers();
      } else if (key == "data_offsets" && !(fields & 4)) {
        fields |= 4;
        offsets = Integers();
      } else {
        Fail("tensor '" + name + "' has an unknown or repeated field '" + key + "'", at);
      }
    });
    if (fields != 7) Fail("tensor '" + name + "' lacks dtype, shape or data_offsets", key_at);
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      Fail("data_offsets of tensor '" + name + "' are not [begin, end]", key_at);
    }
    if (offsets[1] > file_bytes_ - data_start_) {
      Fail("tensor '" + name + "' ends at byte " + std::to_string(data_start_) + " + " +
               std::to_string(offsets[1]) + " but the file has " + std::to_string(file_bytes_) +
               " bytes: it is truncated",
           key_at);
    }
    int64_t bytes = DTypeBytes(info.dtype);
    for (int64_t size : info.shape) {
      if (size != 0 && bytes > std::numeric_limits<int64_t>::max() / size) {
        Fail("the shape of tensor '" + name + "' is too large", key_at);
      }
      bytes *= size;
    }
    if (offsets[1] - offsets[0] != bytes) {
      Fail("tensor '" + name + "' of shape " + ShapeText(info.shape) + " and dtype " +
               DTypeName(info.dtype) + " needs " + std::to_string(bytes) +
               " bytes but its data_offsets span " + std::to_string(offsets[1] - offsets[0]),
           key_at);
    }
    info.begin = data_start_ + offsets[0];
    info.bytes = bytes;
    return info;
  }

  void CheckCoverage(const std::map<std::string, TensorInfo>& tensors) const {
    std::vector<const std::pair<const std::string, TensorInfo>*> by_offset;
    for (const auto& tensor : tensors) by_offset.push_back(&tensor);
    std::sort(by_offset.begin(), by_offset.end(), [](const auto* a, const auto* b) {
      return std::pair(a->second.begin, a->second.bytes) <
             std::pair(b->second.begin, b->second.bytes);
    });
    int64_t covered = data_start_;
    auto fail = [&](const std::string& what, int64_t at) {
      FailFormat(path_, kSafetensorsFormat, what, at);
    };
    for (const auto* tensor : by_offset) {
      const auto& [name, info] = *tensor;
      if (info.begin < covered)
        fail("tensor '" + name + "' overlaps the one before it", info.begin);
      if (info.begin > covered) fail("a gap before tensor '" + name + "'", covered);
      covered += info.bytes;
    }
    if (covered != file_bytes_) fail("bytes that belong to no tensor", covered);
  }

  std::string_view json_;
  size_t at_ = 0;
  int64_t data_start_;
  int64_t file_bytes_;
  const std::string& path_;
};

}  // namespace

SafetensorsHeader ParseSafetensorsHeader(std::string_view json, int64_t data_start,
                                         int64_t file_bytes, const std::string& path) {
  return HeaderParser(json, data_start, file_bytes, path).Parse();
}

}  // namespace mead::train
