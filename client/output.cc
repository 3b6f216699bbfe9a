#include "client/output.h"

#include <google/protobuf/util/json_util.h>
#include <yaml-cpp/yaml.h>

#include "client/yaml_tree.h"

namespace mead::client {
namespace {

// Texts that YAML would read as something else stay quoted; JSON's numbers stay plain.
void Emit(const YAML::Node& node, YAML::Emitter* out) {
  if (node.IsMap()) {
    *out << (node.size() == 0 ? YAML::Flow : YAML::Block) << YAML::BeginMap;
    for (const auto& entry : node) {
      *out << YAML::Key << entry.first.Scalar() << YAML::Value;
      Emit(entry.second, out);
    }
    *out << YAML::EndMap;
  } else if (node.IsSequence()) {
    *out << (node.size() == 0 ? YAML::Flow : YAML::Block) << YAML::BeginSeq;
    for (const auto& item : node) Emit(item, out);
    *out << YAML::EndSeq;
  } else if (node.IsNull()) {
    *out << YAML::Null;
  } else {
    YamlNode plain;
    plain.text = node.Scalar();
    if (node.Tag() == "!" && plain.ScalarType() != YamlNode::Type::kText) {
      *out << YAML::DoubleQuoted;
    }
    *out << node.Scalar();
  }
}

}  // namespace

std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.add_whitespace = pretty;
  options.always_print_primitive_fields = true;
  std::string text;
  // It fails only for Any messages of unknown type, which the API has none of.
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  if (!status.ok()) return "{}";
  if (!pretty) text += "\n";
  return text;
}

std::string ToYaml(const google::protobuf::Message& message) {
  YAML::Emitter out;
  Emit(YAML::Load(ToJson(message)), &out);
  return std::string(out.c_str()) + "\n";
}

}  // namespace mead::client
