#include "common/results/tensor_file.h"

#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/status_util.h"

namespace mead::results {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr size_t kMaxDimensions = 16;

absl::Status Invalid(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("not a sound tensor file: ", what));
}

// The product of the dimensions, or nothing sensible if it is beyond 2^62.
absl::StatusOr<uint64_t> BytesOf(const Tensor& tensor) {
  uint64_t bytes = ElementBytes(tensor.dtype);
  if (bytes == 0) return Invalid(absl::StrCat("type '", tensor.dtype, "' is not known"));
  for (const int64_t side : tensor.shape) {
    if (side < 0) return Invalid("a negative dimension");
    const auto factor = static_cast<uint64_t>(side);
    if (factor != 0 && bytes > (uint64_t{1} << 62) / factor) return Invalid("a shape too large");
    bytes *= factor;
  }
  return bytes;
}

absl::StatusOr<Tensor> ParseTensor(const Json& json, uint64_t data_begin, uint64_t file_bytes) {
  Tensor tensor;
  const bool complete =
      json.is_object() && json.contains("dtype") && json["dtype"].is_string() &&
      json.contains("shape") && json["shape"].is_array() && json.contains("data_offsets") &&
      json["data_offsets"].is_array() && json["data_offsets"].size() == 2 &&
      json["data_offsets"][0].is_number_unsigned() && json["data_offsets"][1].is_number_unsigned();
  if (!complete) return Invalid("a tensor lacks its dtype, shape or data_offsets");
  tensor.dtype = json["dtype"].get<std::string>();
  if (json["shape"].size() > kMaxDimensions) return Invalid("a tensor has too many dimensions");
  for (const Json& side : json["shape"]) {
    if (!side.is_number_unsigned() ||
        side.get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return Invalid("a dimension is not a whole number");
    }
    tensor.shape.push_back(side.get<int64_t>());
  }
  const auto begin = json["data_offsets"][0].get<uint64_t>();
  const auto end = json["data_offsets"][1].get<uint64_t>();
  if (begin > end || end > file_bytes - data_begin) return Invalid("a tensor lies outside");
  tensor.begin = data_begin + begin;
  tensor.bytes = end - begin;
  MEAD_ASSIGN_OR_RETURN(const uint64_t bytes, BytesOf(tensor));
  if (bytes != tensor.bytes) return Invalid("a tensor's bytes are not those of its shape");
  return tensor;
}

}  // namespace

uint64_t ElementBytes(std::string_view dtype) {
  static const std::map<std::string_view, uint64_t> kSizes = {
      {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"U16", 2}, {"I16", 2}, {"F16", 2}, {"BF16", 2},
      {"U32", 4},  {"I32", 4}, {"F32", 4}, {"U64", 8}, {"I64", 8}, {"F64", 8}};
  const auto it = kSizes.find(dtype);
  return it == kSizes.end() ? 0 : it->second;
}

absl::StatusOr<uint64_t> HeaderBytes(std::string_view first_bytes) {
  if (first_bytes.size() < kLengthBytes) return Invalid("it ends within its first 8 bytes");
  uint64_t length = 0;
  for (size_t i = kLengthBytes; i-- > 0;) {
    length = length << 8 | static_cast<uint8_t>(first_bytes[i]);
  }
  if (length > kMaxHeaderBytes) return Invalid(absl::StrCat("a header of ", length, " bytes"));
  return length;
}

absl::StatusOr<TensorFile> ParseHeader(std::string_view json_text, uint64_t file_bytes) {
  const uint64_t data_begin = kLengthBytes + json_text.size();
  if (data_begin > file_bytes) return Invalid("it ends within its header");
  const Json json = Json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return Invalid("its header is not a JSON object");
  TensorFile file;
  for (const auto& [name, value] : json.items()) {
    if (name != "__metadata__") {
      absl::StatusOr<Tensor> tensor = ParseTensor(value, data_begin, file_bytes);
      if (!tensor.ok()) return tensor.status();
      file.tensors.emplace(name, *std::move(tensor));
      continue;
    }
    if (!value.is_object()) return Invalid("its metadata is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) return Invalid("its metadata holds more than texts");
      file.metadata.emplace(key, text.get<std::string>());
    }
  }
  return file;
}

std::string MakeHeader(const std::vector<std::pair<std::string, Tensor>>& tensors,
                       const std::map<std::string, std::string>& metadata) {
  Json json = Json::object();
  if (!metadata.empty()) json["__metadata__"] = metadata;
  uint64_t offset = 0;
  for (const auto& [name, tensor] : tensors) {
    json[name] = {{"dtype", tensor.dtype},
                  {"shape", tensor.shape},
                  {"data_offsets", {offset, offset + tensor.bytes}}};
    offset += tensor.bytes;
  }
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((kLengthBytes - text.size() % kLengthBytes) % kLengthBytes, ' ');
  std::string header;
  for (size_t i = 0; i < kLengthBytes; ++i) {
    header += static_cast<char>(text.size() >> (8 * i) & 0xff);
  }
  return header + text;
}

}  // namespace mead::results
