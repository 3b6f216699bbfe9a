#include "client/sweep_yaml.h"

#include <google/protobuf/message.h>
#include <yaml-cpp/yaml.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/number_words.h"
#include "client/yaml_tree.h"

namespace mead::client {
namespace {

using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

// Shortest text that reads back as the same number.
std::string Exact(double value) {
  for (int digits = 6; digits < 17; ++digits) {
    char text[32];
    snprintf(text, sizeof text, "%.*g", digits, value);
    double back = 0;
    if (absl::SimpleAtod(text, &back) && back == value) return text;
  }
  char text[32];
  snprintf(text, sizeof text, "%.17g", value);
  return text;
}

void EmitText(const std::string& text, YAML::Emitter* out) {
  YamlNode plain;
  plain.kind = YamlNode::Kind::kScalar;
  plain.text = text;
  if (plain.ScalarType() != YamlNode::Type::kText) *out << YAML::DoubleQuoted;
  *out << text;
}

void EmitFields(const Message& message, YAML::Emitter* out);

// index: of a repeated field; -1 for a single one.
void EmitValue(const Message& message, const FieldDescriptor* field, int index,
               YAML::Emitter* out) {
  const auto* reflection = message.GetReflection();
  const bool repeated = index >= 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_MESSAGE:
      *out << (repeated ? YAML::Flow : YAML::Block) << YAML::BeginMap;
      EmitFields(repeated ? reflection->GetRepeatedMessage(message, field, index)
                          : reflection->GetMessage(message, field),
                 out);
      *out << YAML::EndMap;
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      *out << Exact(repeated ? reflection->GetRepeatedDouble(message, field, index)
                             : reflection->GetDouble(message, field));
      return;
    case FieldDescriptor::CPPTYPE_INT32: {
      const int value = repeated ? reflection->GetRepeatedInt32(message, field, index)
                                 : reflection->GetInt32(message, field);
      if (const auto known = NumberWordOf(*field); known && value == known->value) {
        *out << std::string(known->word);
      } else {
        *out << value;
      }
      return;
    }
    case FieldDescriptor::CPPTYPE_UINT64:
      *out << (repeated ? reflection->GetRepeatedUInt64(message, field, index)
                        : reflection->GetUInt64(message, field));
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      *out << (repeated ? reflection->GetRepeatedBool(message, field, index)
                        : reflection->GetBool(message, field));
      return;
    default:
      // Texts; the specs hold nothing else (a test writes and reads every field).
      EmitText(repeated ? reflection->GetRepeatedString(message, field, index)
                        : reflection->GetString(message, field),
               out);
  }
}

// The set fields, in the order of their numbers, which is the order of interface and docs.
void EmitFields(const Message& message, YAML::Emitter* out) {
  std::vector<const FieldDescriptor*> fields;
  message.GetReflection()->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    // The first three are no keys of the file; the last has a form of its own.
    if (field->name() == "weights_artifact" || field->name() == "fold" ||
        field->name() == "fold_pictures" || field->name() == "space") {
      continue;
    }
    *out << YAML::Key << field->name() << YAML::Value;
    if (!field->is_repeated()) {
      EmitValue(message, field, -1, out);
      continue;
    }
    *out << YAML::Flow << YAML::BeginSeq;
    for (int i = 0; i < message.GetReflection()->FieldSize(message, field); ++i) {
      EmitValue(message, field, i, out);
    }
    *out << YAML::EndSeq;
  }
}

void EmitRange(const char* shape, const mead::v1::FloatRange& range, YAML::Emitter* out) {
  *out << YAML::Key << shape << YAML::Value << YAML::Flow << YAML::BeginSeq << Exact(range.low())
       << Exact(range.high()) << YAML::EndSeq;
  if (range.step() != 0) *out << YAML::Key << "step" << YAML::Value << Exact(range.step());
}

void EmitDimension(const mead::v1::Dimension& dimension, YAML::Emitter* out) {
  *out << YAML::Key << dimension.path() << YAML::Value << YAML::Flow << YAML::BeginMap;
  if (dimension.has_uniform()) EmitRange("uniform", dimension.uniform(), out);
  if (dimension.has_log_uniform()) EmitRange("log_uniform", dimension.log_uniform(), out);
  if (dimension.has_int_()) {
    *out << YAML::Key << "int" << YAML::Value << YAML::Flow << YAML::BeginSeq
         << dimension.int_().low() << dimension.int_().high() << YAML::EndSeq;
    if (dimension.int_().step() > 1) {
      *out << YAML::Key << "step" << YAML::Value << dimension.int_().step();
    }
  }
  if (dimension.has_choice()) {
    *out << YAML::Key << "choice" << YAML::Value << YAML::Flow << YAML::BeginSeq;
    for (const auto& value : dimension.choice().values()) {
      switch (value.kind_case()) {
        case mead::v1::ParamValue::kNumber:
          *out << Exact(value.number());
          break;
        case mead::v1::ParamValue::kInteger:
          *out << value.integer();
          break;
        case mead::v1::ParamValue::kFlag:
          *out << value.flag();
          break;
        default:
          EmitText(value.text(), out);
      }
    }
    *out << YAML::EndSeq;
  }
  *out << YAML::EndMap;
}

}  // namespace

std::string SweepYaml(const mead::v1::SweepSpec& spec) {
  YAML::Emitter out;
  out << YAML::BeginMap << YAML::Key << "apiVersion" << YAML::Value << "mead/v1" << YAML::Key
      << "kind" << YAML::Value << "Sweep";
  EmitFields(spec, &out);
  if (spec.space_size() > 0) {
    out << YAML::Key << "space" << YAML::Value << YAML::Block << YAML::BeginMap;
    for (const auto& dimension : spec.space()) EmitDimension(dimension, &out);
    out << YAML::EndMap;
  }
  out << YAML::EndMap;
  return absl::StrCat(out.c_str(), "\n");
}

std::string TrainYaml(const mead::v1::TrainConfig& config) {
  YAML::Emitter out;
  out << YAML::BeginMap;
  EmitFields(config, &out);
  out << YAML::EndMap;
  return absl::StrCat(out.c_str(), "\n");
}

}  // namespace mead::client
