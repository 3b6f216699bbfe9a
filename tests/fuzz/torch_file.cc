// A whole file of torch.save, with its tensors where they are small.
#include "worker/train/state/torch_file.h"

#include <cstdlib>
#include <memory>
#include <string>

#include "tests/support/memory_source.h"
#include "worker/train/errors.h"

namespace {

constexpr int64_t kMostBytes = 1 << 16;

// Of the dense tensor, or 0 for more than kMostBytes.
int64_t SmallBytes(const mead::train::TorchTensor& tensor) {
  int64_t bytes = mead::train::DTypeBytes(tensor.dtype);
  for (const int64_t size : tensor.shape) {
    if (size > kMostBytes) return 0;
    bytes *= size;
    if (bytes > kMostBytes) return 0;
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes) {
  using mead::train::TorchFile;
  auto source = std::make_unique<mead::testing::MemorySource>(
      std::string(reinterpret_cast<const char*>(data), bytes));
  try {
    const TorchFile file = TorchFile::Open(std::move(source));
    for (const auto& [name, tensor] : file.tensors()) {
      if (tensor.begin < 0 || tensor.bytes < 0 ||
          tensor.begin + tensor.bytes > static_cast<int64_t>(bytes)) {
        std::abort();
      }
      std::string dense(static_cast<size_t>(SmallBytes(tensor)), '\0');
      if (!dense.empty()) file.Read(tensor, dense.data());
    }
  } catch (const mead::train::TrainError&) {
    // What most input gives.
  }
  return 0;
}
