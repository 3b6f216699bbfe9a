// TensorBoard's event files.
//
// Format: TFRecord frames (length, masked CRC-32C of it, bytes, masked CRC-32C of them) of
//         tensorflow.Event messages; the first says "brain.Event:2".
// Source: tensorflow/core/lib/io/record_writer.cc, core/util/event.proto,
//         core/framework/summary.proto.
// Thread: one at a time.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace mead::client {

// CRC-32C (Castagnoli) of some bytes.
uint32_t Crc32c(std::string_view data);

class EventFile {
 public:
  // wall_time: seconds since the Unix epoch, of the file's first event.
  explicit EventFile(double wall_time);

  void AddScalar(double wall_time, int64_t step, std::string_view tag, float value);

  const std::string& bytes() const { return bytes_; }

 private:
  void AddRecord(std::string_view record);

  std::string bytes_;
};

}  // namespace mead::client
