#include "worker/train/state/safetensors_checksums.h"

#include <charconv>
#include <cstdio>

#include "worker/train/state/crc32c.h"
#include "worker/train/state/safetensors.h"

namespace mead::train {
namespace {

constexpr size_t kDigits = 8;

// Where the value's digits begin. In a string of JSON every quote is escaped, so that no name
// and no other value looks like this.
size_t PlaceIn(std::string_view json) {
  const std::string key = std::string("\"") + kChecksumsKey + "\":\"";
  const size_t at = json.find(key);
  return at == std::string_view::npos ? at : at + key.size();
}

std::string Hex(uint32_t value) {
  char text[kDigits + 1];
  std::snprintf(text, sizeof(text), "%08x", value);
  return text;
}

std::optional<uint32_t> Number(std::string_view digits) {
  uint32_t value = 0;
  const char* last = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), last, value, 16);
  // As it is written alone: an 'A' for an 'a' is a flipped bit, too.
  const bool exact = error == std::errc() && end == last && Hex(value) == digits;
  return exact ? std::optional(value) : std::nullopt;
}

}  // namespace

std::string ChecksumPlaces(size_t tensors) { return std::string(kDigits * (1 + tensors), '0'); }

void FillChecksums(const std::vector<uint32_t>& tensors, std::string& json) {
  const size_t at = PlaceIn(json);
  std::string digits = Hex(Crc32c(json.data(), json.size()));
  for (const uint32_t value : tensors) digits += Hex(value);
  json.replace(at, digits.size(), digits);
}

std::optional<std::vector<uint32_t>> CheckedChecksums(std::string_view json,
                                                      std::string_view metadata, size_t tensors) {
  const size_t at = PlaceIn(json);
  if (at == std::string_view::npos || metadata.size() != kDigits * (1 + tensors)) {
    return std::nullopt;
  }
  std::string zeroed(json);
  zeroed.replace(at, metadata.size(), metadata.size(), '0');
  if (Number(metadata.substr(0, kDigits)) != Crc32c(zeroed.data(), zeroed.size())) {
    return std::nullopt;
  }
  std::vector<uint32_t> values;
  for (size_t i = 1; i <= tensors; ++i) {
    const std::optional<uint32_t> value = Number(metadata.substr(i * kDigits, kDigits));
    if (!value) return std::nullopt;
    values.push_back(*value);
  }
  return values;
}

}  // namespace mead::train
