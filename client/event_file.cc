#include "client/event_file.h"

#include <array>
#include <bit>

namespace mead::client {
namespace {

std::string Raw(uint64_t number, int bytes) {
  std::string result;
  for (int i = 0; i < bytes; ++i) result += static_cast<char>(number >> (8 * i) & 0xff);
  return result;
}

// A protobuf field's key and number, as varints.
std::string Varint(uint64_t number) {
  std::string result;
  for (; number >= 0x80; number >>= 7) result += static_cast<char>(number | 0x80);
  return result + static_cast<char>(number);
}
std::string Key(uint64_t field, uint64_t wire_type) { return Varint(field << 3 | wire_type); }
std::string Bytes(uint64_t field, std::string_view value) {
  return Key(field, 2) + Varint(value.size()) + std::string(value);
}

// Event.wall_time
std::string WallTime(double seconds) {
  return Key(1, 1) + Raw(std::bit_cast<uint64_t>(seconds), 8);
}

// So that the checksum of a record that holds checksums is still good.
uint32_t Masked(uint32_t sum) { return (sum >> 15 | sum << 17) + 0xa282ead8u; }

}  // namespace

uint32_t Crc32c(std::string_view data) {
  static const std::array<uint32_t, 256> kTable = [] {
    std::array<uint32_t, 256> table{};
    for (uint32_t i = 0; i < table.size(); ++i) {
      uint32_t value = i;
      for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ ((value & 1) != 0 ? 0x82f63b78u : 0);
      table[i] = value;
    }
    return table;
  }();
  uint32_t sum = 0xffffffffu;
  for (const char c : data) sum = kTable[(sum ^ static_cast<uint8_t>(c)) & 0xff] ^ sum >> 8;
  return ~sum;
}

EventFile::EventFile(double wall_time) {
  AddRecord(WallTime(wall_time) + Bytes(3, "brain.Event:2"));  // Event.file_version
}

void EventFile::AddScalar(double wall_time, int64_t step, std::string_view tag, float value) {
  const std::string scalar =  // Summary.Value: tag, simple_value
      Bytes(1, tag) + Key(2, 5) + Raw(std::bit_cast<uint32_t>(value), 4);
  AddRecord(WallTime(wall_time) + Key(2, 0) + Varint(static_cast<uint64_t>(step)) +
            Bytes(5, Bytes(1, scalar)));
}

void EventFile::AddRecord(std::string_view record) {
  const std::string length = Raw(record.size(), 8);
  bytes_ += length + Raw(Masked(Crc32c(length)), 4);
  bytes_ += record;
  bytes_ += Raw(Masked(Crc32c(record)), 4);
}

}  // namespace mead::client
