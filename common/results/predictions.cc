#include "common/results/predictions.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/results/tensor_file.h"
#include "common/status_util.h"

namespace mead::results {
namespace {

using Json = nlohmann::json;

constexpr char kVersion[] = "1";
constexpr char kLogProbabilities[] = "log_probabilities";
constexpr char kTruth[] = "truth";

absl::Status Invalid(const std::string& what) {
  return absl::InvalidArgumentError(absl::StrCat("bad predictions: ", what));
}

std::string JsonList(const std::vector<std::string>& texts) {
  return Json(texts).dump(-1, ' ', false, Json::error_handler_t::replace);
}

absl::StatusOr<std::vector<std::string>> TextsOf(const TensorFile& file, const char* name) {
  const auto it = file.metadata.find(name);
  const Json json = it == file.metadata.end()
                        ? Json()
                        : Json::parse(it->second, nullptr, /*allow_exceptions=*/false);
  const bool texts = json.is_array() && std::all_of(json.begin(), json.end(), [](const Json& one) {
                       return one.is_string();
                     });
  if (!texts) return Invalid(absl::StrCat("its ", name, " are not a list of texts"));
  return json.get<std::vector<std::string>>();
}

// The bytes of a tensor of one type and shape, copied: a file's tensors need not be aligned.
template <class T>
absl::StatusOr<std::vector<T>> ValuesOf(const TensorFile& file, std::string_view bytes,
                                        const char* name, const char* dtype,
                                        const std::vector<int64_t>& shape) {
  const auto it = file.tensors.find(name);
  if (it == file.tensors.end() || it->second.dtype != dtype || it->second.shape != shape) {
    return Invalid(
        absl::StrCat("it has no ", name, " [", absl::StrJoin(shape, ", "), "] of type ", dtype));
  }
  std::vector<T> values(it->second.bytes / sizeof(T));
  // Of no pictures there is no place to copy to.
  if (!values.empty()) {
    std::memcpy(values.data(), bytes.data() + it->second.begin, it->second.bytes);
  }
  return values;
}

template <class T>
void AppendBytes(const std::vector<T>& values, std::string& out) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

}  // namespace

absl::StatusOr<int> Predictions::ClassId(std::string_view name) const {
  const auto it = std::find(classes.begin(), classes.end(), name);
  if (it != classes.end()) return static_cast<int>(it - classes.begin());
  return absl::NotFoundError(
      absl::StrCat("no class '", std::string(name), "'; there are ", absl::StrJoin(classes, ", ")));
}

std::string Predictions::ToBytes() const {
  const auto n = static_cast<int64_t>(keys.size());
  const auto k = static_cast<int64_t>(classes.size());
  std::string bytes =
      MakeHeader({{kLogProbabilities, {"F32", {n, k}, 0, log_probabilities.size() * sizeof(float)}},
                  {kTruth, {"I32", {n}, 0, truth.size() * sizeof(int32_t)}}},
                 {{"mead.predictions", kVersion},
                  {"trial", trial_id},
                  {"epoch", absl::StrCat(epoch)},
                  {"manifest", manifest_digest},
                  {"classes", JsonList(classes)},
                  {"keys", JsonList(keys)}});
  AppendBytes(log_probabilities, bytes);
  AppendBytes(truth, bytes);
  return bytes;
}

absl::StatusOr<Predictions> Predictions::FromBytes(std::string_view bytes) {
  MEAD_ASSIGN_OR_RETURN(const uint64_t header_bytes, HeaderBytes(bytes));
  if (header_bytes > bytes.size() - sizeof(uint64_t)) return Invalid("it ends within its header");
  MEAD_ASSIGN_OR_RETURN(const TensorFile file,
                        ParseHeader(bytes.substr(sizeof(uint64_t), header_bytes), bytes.size()));
  const auto text = [&file](const char* name) {
    const auto it = file.metadata.find(name);
    return it == file.metadata.end() ? std::string() : it->second;
  };
  if (text("mead.predictions") != kVersion) {
    return Invalid(absl::StrCat("version '", text("mead.predictions"), "', expected ", kVersion));
  }
  Predictions result;
  result.trial_id = text("trial");
  result.manifest_digest = text("manifest");
  if (!absl::SimpleAtoi(text("epoch"), &result.epoch) || result.epoch < 1) {
    return Invalid(absl::StrCat("epoch '", text("epoch"), "'"));
  }
  MEAD_ASSIGN_OR_RETURN(result.classes, TextsOf(file, "classes"));
  MEAD_ASSIGN_OR_RETURN(result.keys, TextsOf(file, "keys"));
  const auto n = static_cast<int64_t>(result.keys.size());
  const auto k = static_cast<int64_t>(result.classes.size());
  if (k < 2) return Invalid("fewer than two classes");
  MEAD_ASSIGN_OR_RETURN(result.log_probabilities,
                        ValuesOf<float>(file, bytes, kLogProbabilities, "F32", {n, k}));
  MEAD_ASSIGN_OR_RETURN(result.truth, ValuesOf<int32_t>(file, bytes, kTruth, "I32", {n}));
  for (const int32_t id : result.truth) {
    if (id < 0 || id >= k) return Invalid(absl::StrCat("class ", id, " of ", k));
  }
  return result;
}

std::vector<size_t> TopLosses(const Scores& scores, size_t count) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  const auto loss = [&scores](size_t i) {
    const double value = scores.Loss(i);
    return std::isnan(value) ? HUGE_VAL : value;
  };
  std::stable_sort(order.begin(), order.end(),
                   [&loss](size_t a, size_t b) { return loss(a) > loss(b); });
  order.resize(std::min(order.size(), count));
  return order;
}

}  // namespace mead::results
