// `-o table|json|yaml|name`: JSON is the protobuf JSON mapping with every scalar
// present (a script reads zeros, too), YAML is the same tree.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/statusor.h"

namespace mead::client {

enum class OutputFormat { kTable, kJson, kYaml, kName };

// pretty: over several lines; otherwise one line, for streams of messages.
std::string ToJson(const google::protobuf::Message& message, bool pretty = true);
std::string ToYaml(const google::protobuf::Message& message);

}  // namespace mead::client
