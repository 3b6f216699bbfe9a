#include "coordinator/service/apply_params.h"

#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>

#include "absl/strings/str_cat.h"
#include "common/near_names.h"
#include "coordinator/service/words.h"

namespace mead::service {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

// Fields that say what all trials share: the files and the length of a trial, how
// its work is cut up and travels, and the host's own affairs.
bool IsShared(std::string_view path) {
  return path == "weights" || path == "weights_artifact" || path == "epochs" ||
         path == "loader_threads" || path == "micro_batch" || path == "deterministic" ||
         path == "virtual_ranks" || path == "resident" || path == "gradients_on_wire" ||
         path == "checkpoint" || path.starts_with("checkpoint.") || path == "defaults" ||
         path == "fold" || path == "lr_range" || path.starts_with("lr_range.");
}

FieldKind KindOf(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return FieldKind::kNumber;
    case FieldDescriptor::CPPTYPE_STRING:
      return FieldKind::kText;
    case FieldDescriptor::CPPTYPE_BOOL:
      return FieldKind::kFlag;
    default:
      return FieldKind::kInteger;
  }
}

void Collect(const Descriptor& type, const std::string& prefix,
             std::vector<SearchableField>& fields) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string path = absl::StrCat(prefix, field.name());
    if (field.is_repeated() || IsShared(path)) continue;
    if (field.message_type() != nullptr) {
      Collect(*field.message_type(), absl::StrCat(path, "."), fields);
    } else {
      fields.push_back({path, KindOf(field)});
    }
  }
}

std::string Describe(const core::ParamValue& value) {
  if (const auto* number = std::get_if<double>(&value)) return absl::StrCat(*number);
  if (const auto* integer = std::get_if<int64_t>(&value)) return absl::StrCat(*integer);
  if (const auto* text = std::get_if<std::string>(&value)) return absl::StrCat("'", *text, "'");
  return std::get<bool>(value) ? "true" : "false";
}

absl::Status WrongType(const core::Param& param, const char* wanted) {
  return absl::InvalidArgumentError(
      absl::StrCat(param.path, " is ", wanted, ", not ", Describe(param.value)));
}

// The value as a whole number between low and high, if it is one.
std::optional<int64_t> AsInteger(const core::ParamValue& value, int64_t low, int64_t high) {
  int64_t integer = 0;
  if (const auto* exact = std::get_if<int64_t>(&value)) {
    integer = *exact;
  } else if (const auto* number = std::get_if<double>(&value)) {
    // 2^53: beyond it a double no longer tells neighbouring integers apart.
    if (std::abs(*number) > 9007199254740992.0 || std::trunc(*number) != *number) {
      return std::nullopt;
    }
    integer = static_cast<int64_t>(*number);
  } else {
    return std::nullopt;
  }
  if (integer < low || integer > high) return std::nullopt;
  return integer;
}

absl::Status SetScalar(Message& message, const FieldDescriptor& field, const core::Param& param) {
  const Reflection& reflection = *message.GetReflection();
  constexpr int64_t kInt32Max = std::numeric_limits<int32_t>::max();
  constexpr int64_t kInt64Max = std::numeric_limits<int64_t>::max();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (const auto* number = std::get_if<double>(&param.value)) {
        reflection.SetDouble(&message, &field, *number);
      } else if (const auto* integer = std::get_if<int64_t>(&param.value)) {
        reflection.SetDouble(&message, &field, static_cast<double>(*integer));
      } else {
        return WrongType(param, "a number");
      }
      return absl::OkStatus();
    case FieldDescriptor::CPPTYPE_INT32: {
      const auto integer = AsInteger(param.value, -kInt32Max, kInt32Max);
      if (!integer) return WrongType(param, "a whole number");
      reflection.SetInt32(&message, &field, static_cast<int32_t>(*integer));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_UINT64: {
      const auto integer = AsInteger(param.value, 0, kInt64Max);
      if (!integer) return WrongType(param, "a whole number from 0");
      reflection.SetUInt64(&message, &field, static_cast<uint64_t>(*integer));
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_STRING: {
      const auto* text = std::get_if<std::string>(&param.value);
      if (text == nullptr) return WrongType(param, "a word");
      reflection.SetString(&message, &field, *text);
      return absl::OkStatus();
    }
    case FieldDescriptor::CPPTYPE_BOOL: {
      const auto* flag = std::get_if<bool>(&param.value);
      if (flag == nullptr) return WrongType(param, "true or false");
      reflection.SetBool(&message, &field, *flag);
      return absl::OkStatus();
    }
    default:
      return absl::UnimplementedError(
          absl::StrCat(param.path, " has a type that a search cannot set yet"));
  }
}

}  // namespace

const std::vector<SearchableField>& SearchableFields() {
  static const auto& fields = *[] {
    auto* all = new std::vector<SearchableField>;
    Collect(*v1::TrainConfig::descriptor(), "", *all);
    return all;
  }();
  return fields;
}

const SearchableField* FindSearchableField(std::string_view path) {
  for (const SearchableField& field : SearchableFields()) {
    if (field.path == path) return &field;
  }
  return nullptr;
}

absl::Status ApplyParam(v1::TrainConfig& config, const core::Param& param) {
  if (FindSearchableField(param.path) == nullptr) {
    if (IsShared(param.path)) {
      return absl::InvalidArgumentError(absl::StrCat(
          param.path, " is the same for every trial: set it under train, not under space"));
    }
    std::vector<std::string> paths;
    for (const SearchableField& field : SearchableFields()) paths.push_back(field.path);
    return absl::InvalidArgumentError(absl::StrCat("'", param.path,
                                                   "' is nothing that a sweep can vary",
                                                   NearOrKnown(param.path, paths)));
  }
  Message* message = &config;
  std::string_view rest = param.path;
  for (size_t dot = rest.find('.'); dot != std::string_view::npos; dot = rest.find('.')) {
    const FieldDescriptor* field =
        message->GetDescriptor()->FindFieldByName(std::string(rest.substr(0, dot)));
    message = message->GetReflection()->MutableMessage(message, field);
    rest.remove_prefix(dot + 1);
  }
  return SetScalar(*message, *message->GetDescriptor()->FindFieldByName(std::string(rest)), param);
}

absl::Status ApplyParams(v1::TrainConfig& config, std::span<const core::Param> params) {
  for (const core::Param& param : params) {
    if (absl::Status status = ApplyParam(config, param); !status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace mead::service
