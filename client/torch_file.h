// Writes a state_dict as torch.save does, so that torch.load(weights_only=True) reads it.
//
// Format: a zip archive of uncompressed entries, each tensor's bytes beginning at a multiple
//         of 64: archive/data.pkl (a pickle, protocol 2, of an OrderedDict of tensors),
//         archive/byteorder, archive/data/0 ... (the tensors' storages), archive/version.
// Source: torch/serialization.py, caffe2/serialize/inline_container.cc (PyTorch 2.11); PKWARE,
//         APPNOTE.TXT 4.3.
// Bound:  4 GiB in all, as in archives without zip64's records.
// Thread: one at a time.
// Errors: INVALID_ARGUMENT (a type that has no place here), RESOURCE_EXHAUSTED (too large).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/results/tensor_file.h"

namespace mead::client {

class TorchFileWriter {
 public:
  // data: the tensor's bytes, row-major; dtype "F32", "F16", "BF16", "F64" or "I64".
  [[nodiscard]] absl::Status Add(std::string_view name, const results::Tensor& tensor,
                                 std::string_view data);
  // The file; nothing may be added any more.
  [[nodiscard]] absl::StatusOr<std::string> Finish();

 private:
  struct Entry {
    std::string name;
    uint32_t checksum = 0;
    uint32_t bytes = 0;
    uint32_t offset = 0;
  };

  void AddEntry(const std::string& name, std::string_view data);

  std::string file_;
  std::vector<Entry> entries_;
  std::string items_;  // of the dictionary, pickled
  int storages_ = 0;
};

}  // namespace mead::client
