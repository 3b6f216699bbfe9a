// The header of a safetensors file with 64 bytes of data.
#include "worker/train/state/safetensors.h"

#include <cstdlib>
#include <string_view>

#include "worker/train/errors.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  const int64_t data_start = 8 + static_cast<int64_t>(bytes);
  const int64_t file_bytes = data_start + 64;
  try {
    const auto header = mead::train::ParseSafetensorsHeader(
        {reinterpret_cast<const char*>(data), bytes}, data_start, file_bytes, "weights");
    for (const auto& [name, tensor] : header.tensors) {
      if (tensor.begin < data_start || tensor.bytes < 0 ||
          tensor.begin + tensor.bytes > file_bytes) {
        std::abort();
      }
    }
  } catch (const mead::train::TrainError&) {
    // What most input gives.
  }
  return 0;
}
