#include "client/space_reader.h"

#include <limits>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/near_names.h"

namespace mead::client {
namespace {

using ::google::protobuf::Descriptor;
using ::google::protobuf::FieldDescriptor;

constexpr char kShapes[] =
    "wants one of {uniform: [low, high]}, {log_uniform: [low, high]}, {int: [low, high]} or "
    "{choice: [a, b, ...]}";

// Every path of TrainConfig that holds one scalar, for "did you mean".
void CollectPaths(const Descriptor* descriptor, const std::string& prefix,
                  std::vector<std::string>* paths) {
  for (int i = 0; i < descriptor->field_count(); ++i) {
    const FieldDescriptor* field = descriptor->field(i);
    if (field->is_repeated() || field->name().rfind("weights", 0) == 0) continue;
    if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      CollectPaths(field->message_type(), prefix + field->name() + ".", paths);
    } else {
      paths->push_back(prefix + field->name());
    }
  }
}

const FieldDescriptor* Resolve(const std::string& path) {
  const Descriptor* descriptor = mead::v1::TrainConfig::descriptor();
  const FieldDescriptor* field = nullptr;
  for (const std::string& key : std::vector<std::string>(absl::StrSplit(path, '.'))) {
    if (descriptor == nullptr) return nullptr;
    field = descriptor->FindFieldByName(key);
    if (field == nullptr) return nullptr;
    descriptor = field->message_type();
  }
  return field;
}

class DimensionReader {
 public:
  DimensionReader(const YamlNode& node, ProtoReader* reader)
      : node_(node), field_(absl::StrCat("space.", node.key)), reader_(*reader) {}

  void Read(mead::v1::SweepSpec* spec) {
    std::vector<std::string> paths;
    CollectPaths(mead::v1::TrainConfig::descriptor(), "", &paths);
    if (std::find(paths.begin(), paths.end(), node_.key) == paths.end()) {
      reader_.Complain(
          node_.key_at, field_,
          absl::StrCat("no single value of train: has this path", DidYouMean(node_.key, paths)));
    } else {
      target_ = Resolve(node_.key);
    }
    if (node_.kind != YamlNode::Kind::kMapping) {
      reader_.Complain(node_.at, field_, absl::StrCat(kShapes, ", got ", node_.Describe()));
      return;
    }
    if (!FindShape()) return;
    mead::v1::Dimension dimension;
    dimension.set_path(node_.key);
    bool good = false;
    if (shape_->key == "choice") {
      good = ReadChoice(dimension.mutable_choice());
    } else if (shape_->key == "int") {
      good = ReadIntRange(dimension.mutable_int_());
    } else {
      const bool log = shape_->key == "log_uniform";
      good =
          ReadFloatRange(log, log ? dimension.mutable_log_uniform() : dimension.mutable_uniform());
    }
    if (good) *spec->add_space() = std::move(dimension);
  }

 private:
  bool FindShape() {
    static const auto& kKeys =
        *new std::vector<std::string>{"uniform", "log_uniform", "int", "choice", "step"};
    bool good = true;
    for (const YamlNode& child : node_.children) {
      reader_.Note(absl::StrCat(field_, ".", child.key), child.key_at);
      if (std::find(kKeys.begin(), kKeys.end(), child.key) == kKeys.end()) {
        reader_.Complain(child.key_at, absl::StrCat(field_, ".", child.key),
                         absl::StrCat("unknown key", DidYouMean(child.key, kKeys)));
        good = false;
      } else if (child.key == "step") {
        step_ = &child;
      } else if (shape_ == nullptr) {
        shape_ = &child;
      } else {
        reader_.Complain(child.key_at, field_,
                         absl::StrCat("has both ", shape_->key, " and ", child.key,
                                      "; a dimension has one range"));
        good = false;
      }
    }
    if (good && shape_ == nullptr) {
      reader_.Complain(node_.at, field_, kShapes);
      return false;
    }
    if (good && step_ != nullptr && (shape_->key == "choice" || shape_->key == "log_uniform")) {
      reader_.Complain(step_->key_at, field_,
                       absl::StrCat("step goes with uniform or int, not with ", shape_->key));
      good = false;
    }
    return good;
  }

  // The two ends of a range: a list of two values.
  bool HasTwoEnds() {
    if (shape_->kind == YamlNode::Kind::kSequence && shape_->children.size() == 2) return true;
    reader_.Complain(
        shape_->at, field_,
        shape_->kind == YamlNode::Kind::kSequence
            ? absl::StrCat("wants a range [low, high], got ", shape_->children.size(), " values")
            : absl::StrCat("wants a range [low, high], got ", shape_->Describe()));
    return false;
  }

  bool TargetIs(FieldDescriptor::CppType type) const {
    return target_ != nullptr && target_->cpp_type() == type;
  }
  bool TargetIsInteger() const {
    return TargetIs(FieldDescriptor::CPPTYPE_INT32) || TargetIs(FieldDescriptor::CPPTYPE_UINT64) ||
           TargetIs(FieldDescriptor::CPPTYPE_INT64);
  }

  bool ReadFloatRange(bool log, mead::v1::FloatRange* range) {
    if (target_ != nullptr && !TargetIs(FieldDescriptor::CPPTYPE_DOUBLE)) {
      reader_.Complain(shape_->key_at, field_,
                       TargetIsInteger() ? "takes whole numbers; use {int: [low, high]}"
                                         : "takes no numbers; use {choice: [...]}");
      return false;
    }
    if (!HasTwoEnds()) return false;
    double low = 0;
    double high = 0;
    const bool low_good = reader_.ReadNumber(shape_->children[0], field_, &low);
    if (!reader_.ReadNumber(shape_->children[1], field_, &high) || !low_good) return false;
    if (!CheckOrder(low, high, low == high)) return false;
    if (log && low <= 0) {
      reader_.Complain(shape_->children[0].at, field_,
                       "log_uniform wants both ends above 0; use uniform, or a small low end");
      return false;
    }
    double step = 0;
    if (step_ != nullptr) {
      if (!reader_.ReadNumber(*step_, field_, &step)) return false;
      if (step <= 0 || step > high - low) {
        reader_.Complain(
            step_->at, field_,
            absl::StrCat("step wants a number above 0 and within the range, got ", step_->text));
        return false;
      }
    }
    range->set_low(low);
    range->set_high(high);
    range->set_step(step);
    return true;
  }

  bool ReadIntRange(mead::v1::IntRange* range) {
    if (target_ != nullptr && !TargetIsInteger()) {
      reader_.Complain(shape_->key_at, field_,
                       TargetIs(FieldDescriptor::CPPTYPE_DOUBLE)
                           ? "is not a whole number; use {uniform: [low, high], step: n}"
                           : "takes no numbers; use {choice: [...]}");
      return false;
    }
    if (!HasTwoEnds()) return false;
    constexpr int64_t kMin = std::numeric_limits<int64_t>::min();
    constexpr uint64_t kMax = std::numeric_limits<int64_t>::max();
    int64_t low = 0;
    int64_t high = 0;
    int64_t step = 1;
    const bool low_good = reader_.ReadInteger(shape_->children[0], field_, kMin, kMax, &low);
    if (!reader_.ReadInteger(shape_->children[1], field_, kMin, kMax, &high) || !low_good) {
      return false;
    }
    if (!CheckOrder(static_cast<double>(low), static_cast<double>(high), false)) return false;
    if (step_ != nullptr && !reader_.ReadInteger(*step_, field_, 1, kMax, &step)) return false;
    range->set_low(low);
    range->set_high(high);
    range->set_step(step);
    return true;
  }

  bool CheckOrder(double low, double high, bool empty) {
    if (low > high) {
      reader_.Complain(shape_->at, field_,
                       absl::StrCat("the range is reversed; write [", shape_->children[1].text,
                                    ", ", shape_->children[0].text, "]"));
      return false;
    }
    if (empty) {
      reader_.Complain(
          shape_->at, field_,
          absl::StrCat("the range [", shape_->children[0].text, ", ", shape_->children[1].text,
                       "] is empty; set a fixed value under train: instead"));
    }
    return !empty;
  }

  bool ReadChoice(mead::v1::Choice* choice) {
    if (shape_->kind != YamlNode::Kind::kSequence || shape_->children.empty()) {
      reader_.Complain(shape_->at, field_,
                       shape_->kind == YamlNode::Kind::kSequence
                           ? "the choice is empty; name at least one value"
                           : absl::StrCat("choice wants a list, got ", shape_->Describe()));
      return false;
    }
    bool good = true;
    for (const YamlNode& item : shape_->children) {
      good = ReadValue(item, choice->add_values()) && good;
    }
    return good;
  }

  // A value of a choice has the type of the field that it is for; of an unknown field, the
  // type that it looks like.
  bool ReadValue(const YamlNode& item, mead::v1::ParamValue* value) {
    const bool scalar = item.kind == YamlNode::Kind::kScalar;
    const YamlNode::Type type = scalar ? item.ScalarType() : YamlNode::Type::kNull;
    if (!scalar || type == YamlNode::Type::kNull) {
      reader_.Complain(item.at, field_, absl::StrCat("choice wants values, got ", item.Describe()));
      return false;
    }
    int64_t integer = 0;
    double number = 0;
    if (TargetIsInteger() || (target_ == nullptr && type == YamlNode::Type::kInteger)) {
      if (!reader_.ReadInteger(item, field_, std::numeric_limits<int64_t>::min(),
                               std::numeric_limits<int64_t>::max(), &integer)) {
        return false;
      }
      value->set_integer(integer);
    } else if (TargetIs(FieldDescriptor::CPPTYPE_DOUBLE) || type == YamlNode::Type::kNumber) {
      if (!reader_.ReadNumber(item, field_, &number)) return false;
      value->set_number(number);
    } else if (type == YamlNode::Type::kBool && !TargetIs(FieldDescriptor::CPPTYPE_STRING)) {
      value->set_flag(item.text[0] == 't' || item.text[0] == 'T');
    } else if (TargetIs(FieldDescriptor::CPPTYPE_BOOL) || type != YamlNode::Type::kText) {
      reader_.Complain(
          item.at, field_,
          absl::StrCat(TargetIs(FieldDescriptor::CPPTYPE_BOOL) ? "wants true or false, got "
                                                               : "wants text (quote it), got ",
                       item.Describe()));
      return false;
    } else {
      value->set_text(item.text);
    }
    return true;
  }

  const YamlNode& node_;
  const std::string field_;
  ProtoReader& reader_;
  const FieldDescriptor* target_ = nullptr;
  const YamlNode* shape_ = nullptr;
  const YamlNode* step_ = nullptr;
};

}  // namespace

void ReadSpace(const YamlNode& node, ProtoReader* reader, mead::v1::SweepSpec* spec) {
  if (node.kind != YamlNode::Kind::kMapping) {
    reader->Complain(node.kind == YamlNode::Kind::kNull ? node.key_at : node.at, "space",
                     absl::StrCat("wants a mapping of paths to ranges, got ", node.Describe()));
    return;
  }
  for (const YamlNode& child : node.children) {
    reader->Note(absl::StrCat("space.", child.key), child.key_at);
    DimensionReader(child, reader).Read(spec);
  }
}

}  // namespace mead::client
