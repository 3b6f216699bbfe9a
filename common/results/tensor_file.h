// The safetensors layout for programs without LibTorch: which tensors a file holds and
// where, and a header to write before some.
//
// Format: 8 bytes little-endian header length, a JSON header {"name": {"dtype", "shape",
//         "data_offsets": [begin, end]}, "__metadata__": {text: text}}, the tensors' bytes.
// Source: huggingface/safetensors, README "Format". worker/train/state has the trainer's
//         own reader and writer, which use the standard library alone.
// Thread: pure functions.
// Errors: INVALID_ARGUMENT saying what is wrong.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace mead::results {

inline constexpr uint64_t kMaxHeaderBytes = 100u << 20;

struct Tensor {
  std::string dtype;  // "F32", "I64", ...
  std::vector<int64_t> shape;
  uint64_t begin = 0;  // bytes from the start of the file
  uint64_t bytes = 0;
};

struct TensorFile {
  std::map<std::string, Tensor> tensors;
  std::map<std::string, std::string> metadata;
};

// Bytes of one element; 0 for a type that is not known.
uint64_t ElementBytes(std::string_view dtype);

// The length of the JSON header, from a file's first 8 bytes.
[[nodiscard]] absl::StatusOr<uint64_t> HeaderBytes(std::string_view first_bytes);

// json: the header. What is returned is sound: every tensor lies within the file and has as
// many bytes as its shape says.
[[nodiscard]] absl::StatusOr<TensorFile> ParseHeader(std::string_view json, uint64_t file_bytes);

// All that stands before the tensors' bytes, which follow in the order given here.
// begin is not looked at. Texts must be UTF-8.
std::string MakeHeader(const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata);

}  // namespace mead::results
