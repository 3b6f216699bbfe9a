#include "client/proto_reader.h"

#include <cmath>
#include <limits>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/number_words.h"
#include "common/near_names.h"

namespace mead::client {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;
using ::google::protobuf::Message;

std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : absl::StrCat(path, ".", key);
}

}  // namespace

void ProtoReader::ReadMapping(const YamlNode& node, const std::string& path, Message* message,
                              const std::set<std::string>& skip) {
  if (node.kind != YamlNode::Kind::kMapping) {
    Complain(node.at, path, absl::StrCat("wants a mapping of keys, got ", node.Describe()));
    return;
  }
  const Descriptor* descriptor = message->GetDescriptor();
  for (const YamlNode& child : node.children) {
    const std::string field_path = Join(path, child.key);
    Note(field_path, child.key_at);
    if (skip.contains(child.key)) continue;
    const FieldDescriptor* field = descriptor->FindFieldByName(child.key);
    if (field == nullptr || hidden_.contains(field->full_name())) {
      std::vector<std::string> known(skip.begin(), skip.end());
      for (int i = 0; i < descriptor->field_count(); ++i) {
        if (!hidden_.contains(descriptor->field(i)->full_name())) {
          known.push_back(descriptor->field(i)->name());
        }
      }
      Complain(child.key_at, field_path, absl::StrCat("unknown key", DidYouMean(child.key, known)));
      continue;
    }
    ReadField(child, field_path, field, message);
  }
}

void ProtoReader::ReadField(const YamlNode& node, const std::string& path,
                            const FieldDescriptor* field, Message* message) {
  const bool is_message = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
  if (node.kind == YamlNode::Kind::kNull) {
    Complain(node.key_at, path, "has no value; give it one, or remove the key for the default");
    return;
  }
  if (!field->is_repeated()) {
    if (is_message) {
      ReadMapping(node, path, message->GetReflection()->MutableMessage(message, field));
    } else {
      ReadScalar(node, path, field, message);
    }
    return;
  }
  if (node.kind != YamlNode::Kind::kSequence) {
    Complain(node.at, path, absl::StrCat("wants a list, got ", node.Describe()));
    return;
  }
  for (size_t i = 0; i < node.children.size(); ++i) {
    const YamlNode& item = node.children[i];
    const std::string item_path = absl::StrCat(path, "[", i, "]");
    Note(item_path, item.at);
    if (is_message) {
      ReadMapping(item, item_path, message->GetReflection()->AddMessage(message, field));
    } else {
      ReadScalar(item, item_path, field, message);
    }
  }
}

bool ProtoReader::ReadInteger(const YamlNode& node, const std::string& field, int64_t min,
                              uint64_t max, int64_t* out) {
  const bool integer =
      node.kind == YamlNode::Kind::kScalar && node.ScalarType() == YamlNode::Type::kInteger;
  uint64_t large = 0;
  if (integer && absl::SimpleAtoi(node.text, out)) {
    if (*out >= min && (*out < 0 || static_cast<uint64_t>(*out) <= max)) return true;
  } else if (integer && absl::SimpleAtoi(node.text, &large) && large <= max) {
    *out = static_cast<int64_t>(large);  // the upper half of uint64 fields
    return true;
  }
  Complain(node.at, field,
           integer
               ? absl::StrCat("wants a whole number from ", min, " to ", max, ", got ", node.text)
               : absl::StrCat("wants a whole number, got ", node.Describe()));
  return false;
}

bool ProtoReader::ReadNumber(const YamlNode& node, const std::string& field, double* out) {
  const bool number =
      node.kind == YamlNode::Kind::kScalar && (node.ScalarType() == YamlNode::Type::kNumber ||
                                               node.ScalarType() == YamlNode::Type::kInteger);
  if (number && absl::SimpleAtod(node.text, out) && std::isfinite(*out)) return true;
  Complain(node.at, field, absl::StrCat("wants a number, got ", node.Describe()));
  return false;
}

void ProtoReader::ReadScalar(const YamlNode& node, const std::string& path,
                             const FieldDescriptor* field, Message* message) {
  const auto* reflection = message->GetReflection();
  // Lists of scalars and single ones differ only in the reflection call.
  const auto store = [&](auto set, auto add, auto value) {
    if (field->is_repeated()) {
      (reflection->*add)(message, field, value);
    } else {
      (reflection->*set)(message, field, value);
    }
  };
  using Reflection = google::protobuf::Reflection;
  int64_t integer = 0;
  double number = 0;
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      if (const auto known = NumberWordOf(*field); known && node.text == known->word) {
        integer = known->value;
      } else if (!ReadInteger(node, path, std::numeric_limits<int32_t>::min(),
                              std::numeric_limits<int32_t>::max(), &integer)) {
        return;
      }
      store(&Reflection::SetInt32, &Reflection::AddInt32, static_cast<int32_t>(integer));
      return;
    case FieldDescriptor::CPPTYPE_INT64:
      if (!ReadInteger(node, path, std::numeric_limits<int64_t>::min(),
                       std::numeric_limits<int64_t>::max(), &integer)) {
        return;
      }
      store(&Reflection::SetInt64, &Reflection::AddInt64, integer);
      return;
    case FieldDescriptor::CPPTYPE_UINT64:
      if (!ReadInteger(node, path, 0, std::numeric_limits<uint64_t>::max(), &integer)) return;
      store(&Reflection::SetUInt64, &Reflection::AddUInt64, static_cast<uint64_t>(integer));
      return;
    case FieldDescriptor::CPPTYPE_DOUBLE:
      if (!ReadNumber(node, path, &number)) return;
      store(&Reflection::SetDouble, &Reflection::AddDouble, number);
      return;
    case FieldDescriptor::CPPTYPE_BOOL:
      if (node.kind != YamlNode::Kind::kScalar || node.ScalarType() != YamlNode::Type::kBool) {
        Complain(node.at, path, absl::StrCat("wants true or false, got ", node.Describe()));
        return;
      }
      store(&Reflection::SetBool, &Reflection::AddBool, node.text[0] == 't' || node.text[0] == 'T');
      return;
    case FieldDescriptor::CPPTYPE_STRING:
      if (node.kind != YamlNode::Kind::kScalar || node.ScalarType() != YamlNode::Type::kText) {
        const bool quotable = node.kind == YamlNode::Kind::kScalar;
        Complain(node.at, path,
                 absl::StrCat(
                     "wants text, got ", node.Describe(),
                     quotable ? absl::StrCat("; if that is its text, quote it: \"", node.text, "\"")
                              : ""));
        return;
      }
      if (field->is_repeated()) {
        reflection->AddString(message, field, node.text);
      } else {
        reflection->SetString(message, field, node.text);
      }
      return;
    default:
      // No other type occurs in SweepSpec; a test reads every field of it.
      Complain(node.at, path,
               absl::StrCat("has the type ", field->cpp_type_name(),
                            ", which a sweep file cannot give"));
  }
}

}  // namespace mead::client
