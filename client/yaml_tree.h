// A YAML document as a plain tree that remembers where everything stands, so that
// each later complaint can name a line and a column.
//
// Units:  lines and columns count from 1, as editors show them.
// Thread: plain data.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace mead::client {

// Where a key or value was written: in the file, or in a --set option.
struct Location {
  int line = 0;
  int column = 0;
  // "--set key=value" when it came from there; then line and column are 0.
  std::string option;

  // "FILE:3:7", or the option's text.
  std::string ToString(const std::string& file) const;
};

// One thing that is wrong, with the place to look at.
struct Diagnostic {
  Location at;
  // A path as in the file ("train.batch_size"); empty for a syntax error.
  std::string field;
  std::string message;
};

struct YamlNode {
  enum class Kind { kNull, kScalar, kMapping, kSequence };
  // What a plain (unquoted) scalar means in YAML's core schema.
  enum class Type { kNull, kBool, kInteger, kNumber, kText };

  Kind kind = Kind::kNull;
  std::string text;
  bool quoted = false;
  Location at;
  // Of a mapping's value: its key and where that stands.
  std::string key;
  Location key_at;
  // A mapping's values or a sequence's items, in the file's order.
  std::vector<YamlNode> children;

  // The value of a key of a mapping; null when absent.
  const YamlNode* Find(const std::string& name) const;
  Type ScalarType() const;
  // The node in words, for messages: "the text \"abc\"", "a list".
  std::string Describe() const;
};

// Reads one YAML document. All problems go to `diagnostics`: every tab used as
// indentation and every duplicate key, and the first syntax error (a parser cannot
// go on after one). Returns the tree whenever there is one to go on with, so that the
// caller finds its own errors in the same run.
std::optional<YamlNode> ParseYaml(const std::string& text, std::vector<Diagnostic>* diagnostics);

// Puts the value of "path=value" into the tree, as if the file had said so. The path is
// dotted, with [i] for list items (train.phases[0].epochs); what follows `space.` is one
// key. Errors go to `diagnostics`.
void ApplySet(const std::string& assignment, YamlNode* root, std::vector<Diagnostic>* diagnostics);

}  // namespace mead::client
