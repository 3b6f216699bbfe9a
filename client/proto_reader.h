// YAML tree -> protobuf message by reflection. Keys are field names; a field that is set
// gets its place noted.
#pragma once

#include <google/protobuf/message.h>

#include <map>
#include <set>
#include <string>
#include <vector>

#include "client/yaml_tree.h"

namespace mead::client {

class ProtoReader {
 public:
  // Both outlive the reader and are added to.
  ProtoReader(std::map<std::string, Location>* locations, std::vector<Diagnostic>* diagnostics)
      : locations_(*locations), diagnostics_(*diagnostics) {}

  // Fields by full name that are not keys of the file although the message has them.
  void Hide(const std::string& full_name) { hidden_.insert(full_name); }

  // Reads the keys of a mapping, but those in `skip`, into the message.
  void ReadMapping(const YamlNode& node, const std::string& path,
                   google::protobuf::Message* message, const std::set<std::string>& skip = {});

  void Complain(const Location& at, const std::string& field, const std::string& message) {
    diagnostics_.push_back({at, field, message});
  }
  void Note(const std::string& field, const Location& at) { locations_.emplace(field, at); }

  // Typed scalars; false after a complaint.
  bool ReadInteger(const YamlNode& node, const std::string& field, int64_t min, uint64_t max,
                   int64_t* out);
  bool ReadNumber(const YamlNode& node, const std::string& field, double* out);

 private:
  void ReadField(const YamlNode& node, const std::string& path,
                 const google::protobuf::FieldDescriptor* field,
                 google::protobuf::Message* message);
  void ReadScalar(const YamlNode& node, const std::string& path,
                  const google::protobuf::FieldDescriptor* field,
                  google::protobuf::Message* message);

  std::map<std::string, Location>& locations_;
  std::vector<Diagnostic>& diagnostics_;
  std::set<std::string> hidden_;
};

}  // namespace mead::client
