#include "client/yaml_tree.h"

#include <yaml-cpp/yaml.h>

#include <set>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace mead::client {
namespace {

// A document this deep or this large is not a sweep; aliases could otherwise make a
// small file unfold without end.
constexpr int kMaxDepth = 32;
constexpr int kMaxNodes = 100'000;

// A tab is two spaces wide while we look for further errors behind it.
constexpr int kTabWidth = 2;

struct Untabbed {
  std::string text;
  // Per line: by how many columns its content was moved to the right.
  std::vector<int> shift;
};

// YAML forbids tabs as indentation, and parsers' messages about them puzzle people.
Untabbed ReplaceTabs(const std::string& text, std::vector<Diagnostic>* diagnostics) {
  Untabbed result;
  const std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    const size_t indent = std::min(line.find_first_not_of(" \t"), line.size());
    const bool blank = indent == line.size() || line[indent] == '#' || line[indent] == '\r';
    int shift = 0;
    for (size_t column = 0; column < indent; ++column) {
      if (line[column] != '\t') {
        result.text += ' ';
        continue;
      }
      result.text.append(kTabWidth, ' ');
      if (shift == 0 && !blank) {
        diagnostics->push_back({{static_cast<int>(i) + 1, static_cast<int>(column) + 1, ""},
                                "",
                                "a tab as indentation, which YAML forbids; indent with spaces"});
      }
      shift += kTabWidth - 1;
    }
    absl::StrAppend(&result.text, line.substr(indent), i + 1 < lines.size() ? "\n" : "");
    result.shift.push_back(shift);
  }
  return result;
}

class Converter {
 public:
  Converter(const std::vector<int>& shift, std::vector<Diagnostic>* diagnostics)
      : shift_(shift), diagnostics_(*diagnostics) {}

  YamlNode Convert(const YAML::Node& in, const std::string& path, int depth) {
    YamlNode out;
    out.at = At(in.Mark());
    if (++nodes_ > kMaxNodes || depth > kMaxDepth) {
      if (!too_large_) {
        diagnostics_.push_back({out.at, path, "the document is nested too deeply or too large"});
      }
      too_large_ = true;
      return out;
    }
    if (in.IsScalar()) {
      out.kind = YamlNode::Kind::kScalar;
      out.text = in.Scalar();
      out.quoted = in.Tag() == "!";
    } else if (in.IsSequence()) {
      out.kind = YamlNode::Kind::kSequence;
      for (const auto& item : in) {
        const size_t index = out.children.size();
        out.children.push_back(Convert(item, absl::StrCat(path, "[", index, "]"), depth + 1));
      }
    } else if (in.IsMap()) {
      out.kind = YamlNode::Kind::kMapping;
      for (const auto& entry : in) AddEntry(entry.first, entry.second, path, depth, &out);
    }
    return out;
  }

  Location At(const YAML::Mark& mark) const {
    if (mark.is_null()) return {};
    const size_t line = static_cast<size_t>(mark.line);
    const int shift = line < shift_.size() ? shift_[line] : 0;
    return {mark.line + 1, std::max(1, mark.column + 1 - shift), ""};
  }

 private:
  void AddEntry(const YAML::Node& key, const YAML::Node& value, const std::string& path, int depth,
                YamlNode* out) {
    const Location at = At(key.Mark());
    if (!key.IsScalar()) {
      diagnostics_.push_back({at, path, "a key must be a plain word"});
      return;
    }
    const std::string& name = key.Scalar();
    const std::string field = path.empty() ? name : absl::StrCat(path, ".", name);
    if (const YamlNode* first = out->Find(name)) {
      diagnostics_.push_back(
          {at, field, absl::StrCat("given twice; the first is in line ", first->key_at.line)});
      return;
    }
    YamlNode child = Convert(value, field, depth + 1);
    child.key = name;
    child.key_at = at;
    if (child.kind == YamlNode::Kind::kNull) child.at = at;
    out->children.push_back(std::move(child));
  }

  const std::vector<int>& shift_;
  std::vector<Diagnostic>& diagnostics_;
  int nodes_ = 0;
  bool too_large_ = false;
};

void SetLocations(const Location& at, YamlNode* node) {
  node->at = at;
  node->key_at = at;
  for (YamlNode& child : node->children) SetLocations(at, &child);
}

// One step of a dotted path: a key, or an index into a list.
struct PathStep {
  std::string key;
  int index = -1;
};

std::optional<std::vector<PathStep>> SplitPath(const std::string& path) {
  std::vector<PathStep> steps;
  std::vector<std::string> words = absl::StrSplit(path, '.');
  if (words.size() > 2 && words[0] == "space") {
    // A dimension's key is itself a dotted path.
    words = {"space", path.substr(std::string("space.").size())};
  }
  for (const std::string& word : words) {
    const size_t bracket = word.find('[');
    if (word.empty() || bracket == 0) return std::nullopt;
    steps.push_back({word.substr(0, bracket), -1});
    if (bracket == std::string::npos) continue;
    int index = 0;
    if (word.back() != ']' ||
        !absl::SimpleAtoi(word.substr(bracket + 1, word.size() - bracket - 2), &index) ||
        index < 0) {
      return std::nullopt;
    }
    steps.push_back({"", index});
  }
  return steps;
}

}  // namespace

std::string Location::ToString(const std::string& file) const {
  if (!option.empty()) return option;
  if (line == 0) return file;
  return absl::StrCat(file, ":", line, ":", column);
}

const YamlNode* YamlNode::Find(const std::string& name) const {
  for (const YamlNode& child : children) {
    if (kind == Kind::kMapping && child.key == name) return &child;
  }
  return nullptr;
}

YamlNode::Type YamlNode::ScalarType() const {
  if (quoted) return Type::kText;
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") {
    return Type::kNull;
  }
  static const auto& kBools =
      *new std::set<std::string>{"true", "True", "TRUE", "false", "False", "FALSE"};
  if (kBools.contains(text)) return Type::kBool;
  if (text.find_first_not_of("0123456789+-.eE") != std::string::npos) return Type::kText;
  // SimpleAtoi and SimpleAtod accept only whole strings, so dates and versions stay text.
  const size_t digits = text[0] == '-' || text[0] == '+' ? 1 : 0;
  if (digits < text.size() && text.find_first_not_of("0123456789", digits) == std::string::npos) {
    return Type::kInteger;
  }
  double number = 0;
  return absl::SimpleAtod(text, &number) ? Type::kNumber : Type::kText;
}

std::string YamlNode::Describe() const {
  switch (kind) {
    case Kind::kNull:
      return "nothing";
    case Kind::kMapping:
      return "a mapping";
    case Kind::kSequence:
      return "a list";
    case Kind::kScalar:
      break;
  }
  switch (ScalarType()) {
    case Type::kNull:
      return "nothing";
    case Type::kBool:
    case Type::kInteger:
    case Type::kNumber:
      return text;
    case Type::kText:
      break;
  }
  return absl::StrCat("the text \"", text.size() > 40 ? text.substr(0, 37) + "..." : text, "\"");
}

std::optional<YamlNode> ParseYaml(const std::string& text, std::vector<Diagnostic>* diagnostics) {
  const Untabbed untabbed = ReplaceTabs(text, diagnostics);
  Converter converter(untabbed.shift, diagnostics);
  try {
    const std::vector<YAML::Node> documents = YAML::LoadAll(untabbed.text);
    if (documents.size() > 1) {
      diagnostics->push_back(
          {converter.At(documents[1].Mark()), "", "a second document; one file holds one sweep"});
    }
    if (documents.empty()) return YamlNode{};
    return converter.Convert(documents[0], "", 0);
  } catch (const YAML::Exception& error) {
    diagnostics->push_back({converter.At(error.mark), "", absl::StrCat("not YAML: ", error.msg)});
    return std::nullopt;
  }
}

void ApplySet(const std::string& assignment, YamlNode* root, std::vector<Diagnostic>* diagnostics) {
  const Location at = {0, 0, absl::StrCat("--set ", assignment)};
  const size_t equals = assignment.find('=');
  const std::string path = assignment.substr(0, equals);
  const auto steps = equals == std::string::npos ? std::nullopt : SplitPath(path);
  if (!steps) {
    diagnostics->push_back({at, path, "wants KEY=VALUE, for example train.batch_size=32"});
    return;
  }
  std::vector<Diagnostic> syntax;
  std::optional<YamlNode> value = ParseYaml(assignment.substr(equals + 1), &syntax);
  if (!syntax.empty() || !value) {
    diagnostics->push_back({at, path, syntax.empty() ? "not YAML" : syntax[0].message});
    return;
  }
  YamlNode* node = root;
  for (const PathStep& step : *steps) {
    if (step.index >= 0) {
      if (node->kind != YamlNode::Kind::kSequence ||
          static_cast<size_t>(step.index) >= node->children.size()) {
        diagnostics->push_back({at, path, absl::StrCat("no item [", step.index, "] to set")});
        return;
      }
      node = &node->children[static_cast<size_t>(step.index)];
      continue;
    }
    if (node->kind == YamlNode::Kind::kNull) node->kind = YamlNode::Kind::kMapping;
    if (node->kind != YamlNode::Kind::kMapping) {
      diagnostics->push_back(
          {at, path, absl::StrCat("cannot set a key inside ", node->Describe())});
      return;
    }
    YamlNode* child = const_cast<YamlNode*>(node->Find(step.key));
    if (child == nullptr) {
      YamlNode added;
      added.key = step.key;
      added.at = at;
      added.key_at = at;
      node->children.push_back(std::move(added));
      child = &node->children.back();
    }
    node = child;
  }
  value->key = node->key;
  SetLocations(at, &*value);
  *node = std::move(*value);
}

}  // namespace mead::client
